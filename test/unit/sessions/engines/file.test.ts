import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, renameSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createSessionKey } from '../../../../src/django/session-key.ts'
import { GatewayError } from '../../../../src/errors.ts'
import type { SessionEngine, Transition } from '../../../../src/sessions/engine.ts'
import { createFileSessions } from '../../../../src/sessions/engines/file.ts'
import type { FileCalls } from '../../../../src/sessions/files/session-folder.ts'
import { EngineWorld, increment, listKeys, sessionOf } from '../../../contract/session-engine.ts'
import { systemError, watchFiles } from '../watched-files.ts'

/** A session file as Django 5.2 wrote it: {"a":1.0,"_session_expiry":300}. */
const DJANGO_TEXT = 'eyJhIjoxLjAsIl9zZXNzaW9uX2V4cGlyeSI6MzAwfQ:1xVIkW:5_jz0HeKAPWXZiOa-8o8Hql7pskJgmTjyLia5kmqEag'
const KEY = '1mu1dscl5du1brwok1qeychb2prdub86'

interface Folder extends AsyncDisposable {
  readonly world: EngineWorld
  readonly directory: string
  readonly engine: SessionEngine
  pathOf(key: string): string
  /** An engine of another process on the same folder. */
  connect(files?: FileCalls): SessionEngine
  /** The names in the folder, apart from that of the locks. */
  names(): string[]
}

async function makeFolder(): Promise<Folder> {
  const world = new EngineWorld()
  const stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'sessiongate-file-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const connect = (files?: FileCalls) =>
    stack.use(
      createFileSessions({ ...world, directory, prefix: 'sessionid', lockTimeoutMs: 5000, ...(files && { files }) }),
    )
  return {
    world,
    directory,
    connect,
    engine: connect(),
    pathOf: (key) => join(directory, `sessionid${key}`),
    names: () => readdirSync(directory).filter((name) => !name.startsWith('.sessiongate-locks')),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

describe('the file engine shares its folder with Django', () => {
  test('writes the names, modes and bytes that Django does', async () => {
    await using folder = await makeFolder()
    const { engine, world } = folder
    const key = await engine.create(sessionOf('{"a":1.0}'))
    assert.deepEqual(folder.names(), [`sessionid${key}`])
    assert.equal((await stat(folder.pathOf(key))).mode & 0o777, 0o600)
    assert.equal(readFileSync(folder.pathOf(key), 'latin1'), world.codec.encode(sessionOf('{"a":1.0}'), world.now))
    world.advance(5)
    await engine.transition(key, increment)
    assert.deepEqual(folder.names(), [`sessionid${key}`])
    assert.equal((await stat(folder.pathOf(key))).mode & 0o777, 0o600)
    assert.equal((await stat(folder.pathOf(key))).mtimeMs, world.now, 'the age counts from the save')
    assert.equal(
      readFileSync(folder.pathOf(key), 'latin1'),
      world.codec.encode(sessionOf('{"a":1.0,"n":1}'), world.now),
    )
  })

  test('reads and changes a file that Django wrote', async () => {
    await using folder = await makeFolder()
    await plant(folder, KEY, DJANGO_TEXT)
    const loaded = await folder.engine.load(KEY)
    assert.ok(loaded.found)
    assert.equal(loaded.data.get('a'), '1.0')
    assert.equal((await folder.engine.transition(KEY, increment)).kind, 'stored')
  })

  test('ends a session with an integer expiry after so many seconds, which Django itself forgets to do', async () => {
    await using folder = await makeFolder()
    await plant(folder, KEY, DJANGO_TEXT)
    folder.world.advance(299)
    const loaded = await folder.engine.load(KEY)
    assert.ok(loaded.found)
    assert.equal(loaded.expiresAt, folder.world.now + 1000)
    folder.world.advance(1)
    assert.deepEqual(await folder.engine.load(KEY), { found: false, reason: 'expired' })
    assert.deepEqual(folder.names(), [`sessionid${KEY}`], 'left to the sweep, and no empty session in its place')
  })

  test('takes the empty file of a session that Django is just creating for no session yet', async () => {
    await using folder = await makeFolder()
    await plant(folder, KEY, '')
    assert.deepEqual(await folder.engine.load(KEY), { found: false, reason: 'not_found' })
    assert.equal(await folder.engine.clearExpired(10), 0)
    assert.deepEqual(folder.names(), [`sessionid${KEY}`])
  })

  const asks: [kind: string, next: Transition['kind']][] = [
    ['change', 'update'],
    ['new key', 'cycle'],
    ['deletion', 'delete'],
  ]
  for (const [what, kind] of asks) {
    test(`stores no ${what} for a session that Django deletes meanwhile`, async () => {
      await using folder = await makeFolder()
      const key = await folder.engine.create(sessionOf('{"a":1}'))
      const result = await folder.engine.transition(key, (data) => {
        unlinkSync(folder.pathOf(key))
        return { kind, data }
      })
      assert.deepEqual(result, { kind: 'gone', reason: 'not_found' })
      assert.deepEqual(folder.names(), [])
    })
  }

  for (const kind of ['update', 'cycle'] as const) {
    test(`computes anew (${kind}) when Django stores something meanwhile, so both changes survive`, async () => {
      await using folder = await makeFolder()
      const { engine, world } = folder
      const key = await engine.create(sessionOf('{"a":1}'))
      let calls = 0
      const result = await engine.transition(key, (now) => {
        if (calls++ === 0)
          rewriteAsDjango(folder, key, world.codec.encode(sessionOf('{"a":2,"django":true}'), world.now))
        return { kind, data: new Map(now).set('ours', '1') }
      })
      assert.ok(result.kind === 'stored')
      assert.equal(calls, 2)
      assert.deepEqual(await dataOf(engine, result.key), { a: '2', django: 'true', ours: '1' })
      assert.deepEqual(folder.names(), [`sessionid${result.key}`])
    })
  }

  test('gives up on a session that is rewritten without end', async () => {
    await using folder = await makeFolder()
    const { engine, world } = folder
    const key = await engine.create(sessionOf('{"a":1}'))
    const rewritten = engine.transition(key, (data) => {
      rewriteAsDjango(folder, key, world.codec.encode(data, world.now))
      return { kind: 'update', data }
    })
    await assert.rejects(rewritten, { code: 'ERR_STORE_UNAVAILABLE' })
    assert.deepEqual(folder.names(), [`sessionid${key}`])
  })
})

describe('the file engine follows and harms nothing that is not its own', () => {
  const planted: [why: string, plantAt: (path: string) => Promise<unknown> | unknown][] = [
    [
      'a link to a session',
      async (path) => {
        await writeFile(`${path}.target`, DJANGO_TEXT)
        await symlink(`${path}.target`, path)
      },
    ],
    ['a link to nowhere', (path) => symlink('/nonexistent', path)],
    ['a link to itself', (path) => symlink(path, path)],
    ['a folder', (path) => mkdir(path)],
    ['a pipe', (path) => execFileSync('mkfifo', [path])],
    ['a file of three megabytes', (path) => writeFile(path, 'x'.repeat(3_000_000))],
    ['bytes that are not ASCII', (path) => writeFile(path, Buffer.from([0xff, 0xfe, 0x00, 0x80]))],
  ]
  for (const [why, plantAt] of planted) {
    test(`${why} is no session, and stays as it is`, async () => {
      await using folder = await makeFolder()
      await plantAt(folder.pathOf(KEY))
      const before = folder.names()
      const loaded = await folder.engine.load(KEY)
      assert.ok(!loaded.found)
      assert.ok(loaded.reason === 'malformed' || loaded.reason === 'bad_signature')
      assert.equal((await folder.engine.transition(KEY, increment)).kind, 'gone')
      assert.equal(await folder.engine.delete(KEY), false)
      folder.world.advance(1e6)
      assert.equal(await folder.engine.clearExpired(10), 0)
      assert.deepEqual(await listKeys(folder.engine), [])
      assert.deepEqual(folder.names(), before)
    })
  }

  test('a socket is no session', async () => {
    await using folder = await makeFolder()
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(folder.pathOf(KEY), resolve))
    assert.deepEqual(await folder.engine.load(KEY), { found: false, reason: 'malformed' })
    await new Promise((resolve) => server.close(resolve))
  })

  test('a file of somebody else, which cannot be read, is no session', async () => {
    await using folder = await makeFolder()
    await plant(folder, KEY, DJANGO_TEXT)
    const engine = folder.connect(
      watchFiles((call, path) => {
        if (call === 'open' && path.endsWith(KEY)) throw systemError('EACCES', call, path)
      }),
    )
    assert.deepEqual(await engine.load(KEY), { found: false, reason: 'malformed' })
  })

  test('names that are none of ours are passed over', async () => {
    await using folder = await makeFolder()
    const { engine, world } = folder
    const names = ['notes.txt', 'sessionid', 'sessionid-backup', 'sessionidABCDEFGH', `other${KEY}`, 'sessionid1234567']
    for (const name of names) await writeFile(join(folder.directory, name), DJANGO_TEXT)
    world.advance(1e6)
    assert.deepEqual(await listKeys(engine), [])
    assert.equal(await engine.clearExpired(10), 0)
    assert.deepEqual(folder.names().toSorted(), names.toSorted())
  })

  test('refuses a prefix that would lead out of the folder', () => {
    for (const prefix of ['', '../x', 'a/b', 'a\0b']) {
      assert.throws(
        () => createFileSessions({ ...new EngineWorld(), directory: '/tmp', prefix, lockTimeoutMs: 1 }),
        TypeError,
      )
    }
  })
})

describe('the file engine sweeps', () => {
  test('temporary files that are older than an hour, and none that may be in use', async () => {
    await using folder = await makeFolder()
    const { engine, world } = folder
    const old = `sessionid${KEY}_out_abcd_123`
    const fresh = `sessionid${KEY}_out_zzzzzzzz`
    const foreign = `sessionid${KEY}_out_zzzzzzzz.bak`
    for (const name of [old, fresh, foreign]) {
      await writeFile(join(folder.directory, name), 'x')
      const age = name === fresh ? 3500 : 3700
      await utimes(join(folder.directory, name), world.now / 1000 - age, world.now / 1000 - age)
    }
    assert.equal(await engine.clearExpired(10), 0)
    assert.deepEqual(folder.names().toSorted(), [fresh, foreign].toSorted())
  })

  test('spares a session that is renewed while the sweep looks at it', async () => {
    await using folder = await makeFolder()
    const { world } = folder
    const key = await folder.engine.create(sessionOf('{"a":1}'))
    world.advance(2000)
    let looks = 0
    const engine = folder.connect(
      watchFiles((call, path) => {
        if (call === 'open' && path.endsWith(key) && looks++ === 1) {
          rewriteAsDjango(folder, key, world.codec.encode(sessionOf('{"a":2}'), world.now))
        }
      }),
    )
    assert.equal(await engine.clearExpired(10), 0)
    assert.deepEqual(await dataOf(engine, key), { a: '2' })
  })
})

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

async function plant(folder: Folder, key: string, text: string): Promise<void> {
  await writeFile(folder.pathOf(key), text, { mode: 0o600 })
  await utimes(folder.pathOf(key), folder.world.now / 1000, folder.world.now / 1000)
}

/** Writes beside and renames over, as Django does, without asking for a lock. */
function rewriteAsDjango(folder: Folder, key: string, text: string): void {
  const draft = `${folder.pathOf(key)}_out_${createSessionKey().slice(0, 8)}`
  writeFileSync(draft, text)
  utimesSync(draft, folder.world.now / 1000, folder.world.now / 1000)
  renameSync(draft, folder.pathOf(key))
}

async function dataOf(engine: SessionEngine, key: string): Promise<Record<string, string>> {
  const loaded = await engine.load(key)
  assert.ok(loaded.found)
  return Object.fromEntries(loaded.data)
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
