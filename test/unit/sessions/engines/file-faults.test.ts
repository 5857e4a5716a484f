import assert from 'node:assert/strict'
import { readdir, readFile, rename, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { GatewayError } from '../../../../src/errors.ts'
import type { SessionEngine } from '../../../../src/sessions/engine.ts'
import { increment, listKeys, sessionOf } from '../../../contract/session-engine-world.ts'
import { dataOf, type Folder, makeFolder } from '../file-folder.ts'
import { systemError, watchFiles } from '../watched-files.ts'

describe('the file engine when the disk fails', () => {
  const faults: [code: string, call: string, path: RegExp][] = [
    ['EROFS', 'open', /_out_/],
    ['EMFILE', 'open', /_out_/],
    ['ENOSPC', 'file.writeFile', /_out_/],
    ['EDQUOT', 'file.writeFile', /_out_/],
    ['EPERM', 'file.utimes', /_out_/],
    ['EIO', 'file.sync', /_out_/],
    ['EIO', 'file.close', /_out_/],
    ['EIO', 'lstat', /./],
    ['ENOSPC', 'rename', /./],
  ]
  for (const [code, call, path] of faults) {
    test(`${code} at ${call}: 503, the old value stays, no temporary file is left, and no key is named`, async () => {
      await using folder = await makeFolder()
      const key = await folder.engine.create(sessionOf('{"a":1}'))
      const failing = folder.connect(
        watchFiles((made, name) => {
          if (made === call && path.test(name)) throw systemError(code, made, name)
        }),
      )
      await assert.rejects(failing.transition(key, increment), unavailable(code, key))
      if (call !== 'lstat') await assert.rejects(failing.create(sessionOf('{"b":1}')), unavailable(code, key))
      await assert.rejects(
        failing.transition(key, (data) => ({ kind: 'cycle', data })),
        unavailable(code, key),
      )
      assert.deepEqual(await dataOf(folder.engine, key), { a: '1' })
      assert.deepEqual(folder.names(), [`sessionid${key}`])
    })
  }

  for (const [code, call] of [
    ['EMFILE', 'open'],
    ['EIO', 'file.read'],
    ['EIO', 'file.stat'],
  ] as const) {
    test(`${code} at ${call} of a session file is a failure, not a session that was never there`, async () => {
      await using folder = await makeFolder()
      const key = await folder.engine.create(sessionOf('{"a":1}'))
      const failing = folder.connect(
        watchFiles((made, name) => {
          if (made === call && name === `sessionid${key}`) throw systemError(code, made, name)
        }),
      )
      await assert.rejects(failing.load(key), unavailable(code, key))
      await assert.rejects(failing.delete(key), unavailable(code, key))
      await assert.rejects(listKeys(failing), unavailable(code, key))
      assert.deepEqual(await dataOf(folder.engine, key), { a: '1' })
    })
  }

  test('a save whose name may not be durable is not acknowledged', async () => {
    await using folder = await makeFolder()
    const key = await folder.engine.create(sessionOf('{"a":1}'))
    const failing = folder.connect(
      watchFiles((call, path) => {
        if (call === 'file.sync' && path.startsWith('sessiongate-file-')) throw systemError('EIO', call, path)
      }),
    )
    await assert.rejects(failing.transition(key, increment), unavailable('EIO', key))
    await assert.rejects(failing.create(sessionOf('{"b":1}')), unavailable('EIO', key))
    assert.deepEqual(folder.names(), [`sessionid${key}`])
    await assert.rejects(failing.delete(key), unavailable('EIO', key))
  })

  test('a folder that is gone is a failure in every call, not an end of all sessions', async () => {
    await using folder = await makeFolder()
    const { engine, directory } = folder
    const key = await engine.create(sessionOf('{"a":1}'))
    await engine.transition(key, increment)
    await rename(directory, `${directory}-away`)
    const calls: (() => Promise<unknown>)[] = [
      () => engine.load(key),
      () => engine.create(sessionOf('{}')),
      () => engine.transition(key, increment),
      () => engine.delete(key),
      () => engine.clearExpired(10),
      () => engine.ping(),
      () => listKeys(engine),
    ]
    for (const call of calls) await assert.rejects(call(), unavailable('ENOENT', key))
    await rename(`${directory}-away`, directory)
    assert.deepEqual(await dataOf(engine, key), { a: '1', n: '1' })
    assert.equal((await engine.transition(key, increment)).kind, 'stored', 'and it goes on when the folder is back')
  })
})

describe('the file engine and a crash', () => {
  test('acknowledges a save only when file, name and folder are durable, in this order', async () => {
    await using folder = await makeFolder()
    const calls: string[] = []
    const engine = folder.connect(
      watchFiles((call, path) => {
        const what = path.includes('_out_') ? 'draft' : path.startsWith('sessionid') ? 'session' : 'folder'
        if (['file.writeFile', 'file.sync', 'rename', 'unlink'].includes(call)) calls.push(`${call} ${what}`)
      }),
    )
    const key = await engine.create(sessionOf('{"a":1}'))
    const save = ['file.writeFile draft', 'file.sync draft', 'rename session', 'file.sync folder']
    assert.deepEqual(calls.splice(0), save)
    await engine.transition(key, increment)
    assert.deepEqual(calls.splice(0), save)
    const cycled = await engine.transition(key, (data) => ({ kind: 'cycle', data }))
    assert.ok(cycled.kind === 'stored')
    assert.deepEqual(calls.splice(0), [...save, 'unlink session', 'file.sync folder'])
    await engine.delete(cycled.key)
    assert.deepEqual(calls.splice(0), ['unlink session', 'file.sync folder'])
  })

  const works: [what: string, work: (engine: SessionEngine, key: string) => Promise<unknown>, outcomes: string[]][] = [
    ['a change', (engine, key) => engine.transition(key, increment), ['{"a":1}', '{"a":1,"n":1}']],
    ['a new key', (engine, key) => engine.transition(key, (data) => ({ kind: 'cycle', data })), ['{"a":1}', 'none']],
    ['a deletion', (engine, key) => engine.delete(key), ['{"a":1}', 'none']],
    ['a new session', (engine) => engine.create(sessionOf('{"b":1}')), ['{"a":1}']],
  ]
  for (const [what, work, outcomes] of works) {
    test(`leaves the old value or the new one, whole, when the process dies at any call of ${what}`, async () => {
      let crashes = 0
      for (let fatal = 1; ; fatal++) {
        await using folder = await makeFolder()
        const key = await folder.engine.create(sessionOf('{"a":1}'))
        let calls = 0
        // From the fatal call on nothing is done any more, cleaning up included: what a SIGKILL leaves behind.
        const dying = folder.connect(
          watchFiles(() => {
            if (++calls >= fatal) throw new Error('killed')
          }),
        )
        const survived = await work(dying, key).then(
          () => true,
          () => false,
        )
        const loaded = await folder.engine.load(key)
        const found = loaded.found
          ? JSON.stringify(Object.fromEntries([...loaded.data].map(([k, v]) => [k, Number(v)])))
          : 'none'
        assert.ok(outcomes.includes(found), `call ${fatal}: ${found}`)
        if (survived) {
          assert.equal(found, outcomes.at(-1), 'what was acknowledged is there')
          break
        }
        crashes++
        await assertWhole(folder)
      }
      assert.ok(crashes >= 5, `${crashes} calls were tried`)
    })
  }
})

/** Every name in the folder is a whole session, a temporary file that the sweep removes, or an empty placeholder. */
async function assertWhole(folder: Folder): Promise<void> {
  const { engine, world } = folder
  for (const name of folder.names()) {
    if (name.includes('_out_')) continue
    const text = await readFile(join(folder.directory, name), 'latin1')
    assert.ok(text === '' || world.codec.decode(text).ok, `${name} is torn`)
  }
  for (const name of folder.names().filter((it) => it.includes('_out_'))) {
    await utimes(join(folder.directory, name), world.now / 1000 - 3601, world.now / 1000 - 3601)
  }
  await engine.clearExpired(10)
  assert.deepEqual(
    (await readdir(folder.directory)).filter((it) => it.includes('_out_')),
    [],
  )
  const key = await engine.create(sessionOf('{"c":1}'))
  assert.deepEqual(await dataOf(engine, key), { c: '1' })
}

/** ERR_STORE_UNAVAILABLE with the system's code as its cause, and the session's key nowhere in it. */
function unavailable(code: string, key: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof GatewayError)
    assert.equal(error.code, 'ERR_STORE_UNAVAILABLE')
    assert.ok(error.cause instanceof Error && 'code' in error.cause)
    assert.equal(error.cause.code, code)
    const told = [
      error.message,
      error.stack,
      error.cause.message,
      error.cause.stack,
      JSON.stringify(error.cause),
    ].join()
    assert.ok(!told.includes(key) && !told.includes('sessionid'), told)
    return true
  }
}
