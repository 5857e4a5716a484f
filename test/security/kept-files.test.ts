/** What the gateway keeps on the disk is for its own user alone, and where somebody else has put a link it does not go. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startApp, type TestApp } from '../support/app.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { obedient } from './stage.ts'

interface Kept {
  readonly path: string
  readonly isFolder: boolean
  readonly mode: string
}

async function everythingIn(folder: string): Promise<Kept[]> {
  const names = await readdir(folder, { recursive: true })
  return await Promise.all(
    names.map(async (path) => {
      const found = await stat(join(folder, path))
      return { path, isFolder: found.isDirectory(), mode: (found.mode & 0o777).toString(8) }
    }),
  )
}

describe('what is kept on the disk', () => {
  let app: TestApp
  let folder = ''
  // As a careless unit file would have it: whatever is not said is for everybody.
  const before022 = process.umask(0)
  before(async () => {
    app = await startApp(obedient)
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-kept-'))
  })
  after(async () => {
    process.umask(before022)
    await app[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const start = (session: string, at: string, more = ''): Promise<TestGateway> =>
    startGateway({
      folder: at,
      config: `admin: off\nsession: { ${session} }\n${more}upstreams: { app: { servers: ["${app.origin}"], writeback: { allow: ["*"] } } }\nroutes: [{ id: app, match: { path: /* }, upstream: app }]\n`,
    })
  const logIn = async ({ url }: TestGateway): Promise<string> => {
    const { headers } = await fetch(url, { headers: { Say: 'X-Session-Set: {"userInfo":{"id":1}}' } })
    return /sessionid=([a-z0-9]{32})/.exec(headers.get('set-cookie') ?? '')?.[1] ?? ''
  }

  for (const [what, session, places] of [
    ['a database of its own, and the keys', 'engine: db, user_id: userInfo.id, user_index: true', ['var']],
    ['files', 'engine: file, file_path: ./sessions/deep, user_id: userInfo.id, user_index: true', ['var', 'sessions']],
  ] as const) {
    test(`${what}: files 0600, folders 0700, also without a umask`, async () => {
      const at = await mkdtemp(join(folder, 'modes-'))
      if (places.some((place) => place === 'sessions'))
        await mkdir(join(at, 'sessions/deep'), { recursive: true, mode: 0o700 })
      {
        await using gateway = await start(session, at)
        assert.notEqual(await logIn(gateway), '')
        assert.notEqual(await logIn(gateway), '')
        const kept = (await Promise.all(places.map((place) => everythingIn(join(at, place))))).flat()
        const open = kept.filter(({ isFolder, mode }) => mode !== (isFolder ? '700' : '600'))
        assert.deepEqual(open, [])
        assert.ok(kept.length >= 3, JSON.stringify(kept))
      }
      assert.equal(((await stat(join(at, 'var'))).mode & 0o777).toString(8), '700')
    })
  }

  test('a link in the place of a key is not followed: the gateway does not start with a secret of somebody else’s', async () => {
    for (const name of ['secret-key', 'signing-key']) {
      const at = await mkdtemp(join(folder, 'key-'))
      {
        await using gateway = await start('engine: db', at)
        assert.notEqual(await logIn(gateway), '')
      }
      const chosen = join(at, 'chosen')
      await writeFile(chosen, `${'a'.repeat(64)}\n`, { mode: 0o600 })
      const names = await readdir(join(at, 'var'))
      const found = names.find((known) => known.startsWith(name))
      assert.ok(found !== undefined, names.join())
      await rm(join(at, 'var', found))
      await symlink(chosen, join(at, 'var', found))
      await assert.rejects(start('engine: db', at), /ended with 1/)
    }
  })

  test('a link in the place of a session is nobody’s session, and is not written through', async () => {
    const at = await mkdtemp(join(folder, 'link-'))
    const sessions = join(at, 'sessions')
    await mkdir(sessions, { mode: 0o700 })
    await using gateway = await start('engine: file, file_path: ./sessions', at)
    const key = await logIn(gateway)
    const [name = ''] = (await readdir(sessions)).filter((file) => file.includes(key))
    assert.notEqual(name, '')
    const planted = 'k'.repeat(32)
    const outside = join(at, 'outside')
    await writeFile(outside, await readFile(join(sessions, name)), { mode: 0o600 })
    const before = await readFile(outside, 'latin1')
    await symlink(outside, join(sessions, name.replace(key, planted)))
    const say = { Say: 'X-Session-Set: {"cart":1}', Cookie: `sessionid=${planted}` }
    const { headers } = await fetch(gateway.url, { headers: say })
    assert.doesNotMatch(headers.get('set-cookie') ?? '', new RegExp(planted))
    assert.equal(await readFile(outside, 'latin1'), before)
    const seen = app.requests.at(-1)
    assert.deepEqual(seen?.claims().ses, {})
  })
})
