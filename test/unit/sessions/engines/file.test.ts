import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, unlinkSync } from 'node:fs'
import { mkdir, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Transition } from '../../../../src/sessions/engine.ts'
import { createFileSessions } from '../../../../src/sessions/engines/file.ts'
import { EngineWorld, increment, listKeys, sessionOf } from '../../../contract/session-engine-world.ts'
import { dataOf, makeFolder, plant, rewriteAsDjango } from '../file-folder.ts'
import { systemError, watchFiles } from '../watched-files.ts'

/** A session file as Django 5.2 wrote it: {"a":1.0,"_session_expiry":300}. */
const DJANGO_TEXT = 'eyJhIjoxLjAsIl9zZXNzaW9uX2V4cGlyeSI6MzAwfQ:1xVIkW:5_jz0HeKAPWXZiOa-8o8Hql7pskJgmTjyLia5kmqEag'
const KEY = '1mu1dscl5du1brwok1qeychb2prdub86'

describe('the file engine shares its folder with Django', () => {
  test('writes the names, modes and bytes that Django does', async () => {
    await using folder = await makeFolder()
    const { engine, world } = folder
    const key = await engine.create(sessionOf('{"a":1.0}'))
    assert.deepEqual(folder.names(), [`sessionid${key}`])
    assert.equal((await stat(folder.pathOf(key))).mode & 0o777, 0o600)
    assert.equal(readFileSync(folder.pathOf(key), 'latin1'), world.codec.encode(sessionOf('{"a":1.0}'), world.now))
    await world.advance(5)
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
    await folder.world.advance(299)
    const loaded = await folder.engine.load(KEY)
    assert.ok(loaded.found)
    assert.equal(loaded.expiresAt, folder.world.now + 1000)
    await folder.world.advance(1)
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
      await folder.world.advance(1e6)
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
    await world.advance(1e6)
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

  test('empty files of processes that died after they had claimed a name, when they are older than an hour', async () => {
    await using folder = await makeFolder()
    const { engine, world } = folder
    const [old, fresh, foreign] = [`sessionid${KEY}`, `sessionid${KEY}2`, 'sessionid-of-somebody-else']
    for (const name of [old, fresh, foreign]) {
      await writeFile(join(folder.directory, name), '')
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
    await world.advance(2000)
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
