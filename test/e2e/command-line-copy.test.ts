import assert from 'node:assert/strict'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import {
  type CommandFolder,
  commandConfig,
  openCommandFolder,
  type StoredSession,
  secretKey,
} from './command-folder.ts'

const toFiles = commandConfig.replace('session: {', 'session: { engine: file, file_path: ./var/files, ')

/** A folder with some sessions in SQLite, and a second configuration that keeps them in files. */
async function openTwoStores(): Promise<CommandFolder & { readonly sessions: readonly StoredSession[] }> {
  const folder = await openCommandFolder(commandConfig)
  await folder.write('config/new.yaml', toFiles)
  await mkdir(join(folder.path, 'var/files'))
  const sessions: StoredSession[] = []
  for (const n of [1, 2, 3]) sessions.push(await folder.store(`{"userInfo":{"name":"Zo\\u00eb"},"n":${n}.0}`))
  await folder.store('{"old":1}', Date.now() - 15 * 86_400_000)
  return { ...folder, sessions }
}

const copy = 'sessiongate sessions copy --from config/sessiongate.yaml --to config/new.yaml'

async function filesOf(folder: CommandFolder): Promise<string[]> {
  return (await readdir(join(folder.path, 'var/files'))).filter((name) => name.startsWith('sessionid')).toSorted()
}

describe('sessions copy', () => {
  test('puts all sessions into another store under their keys, and tells how many', async () => {
    await using folder = await openTwoStores()
    const tried = await folder.run(`${copy} --dry-run`)
    assert.deepEqual([tried.code, tried.stderr, await filesOf(folder)], [0, '', []])
    assert.match(tried.stdout, /^to be copied +3\n/)
    const { code, stdout, stderr } = await folder.run(copy)
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(
      stdout,
      /^copied +3\nthere already +0\nover meanwhile +0\nunreadable +0\nnot storable +0\nfailed +0\n$/,
    )
    assert.deepEqual(await filesOf(folder), folder.sessions.map(({ key }) => `sessionid${key}`).toSorted())
    for (const { id } of folder.sessions) {
      const [before, after] = [
        await folder.run(`sessiongate sessions show ${id}`),
        await folder.run(`sessiongate sessions show ${id} --config config/new.yaml`),
      ]
      const expires = (text: string) => Date.parse(JSON.parse(text).expires)
      assert.ok(Math.abs(expires(before.stdout) - expires(after.stdout)) <= 1, 'with its own end')
      assert.equal(after.stdout.split('"data":')[1], before.stdout.split('"data":')[1])
    }
    const again = await folder.run(`${copy} --json`)
    const { copied, there, end } = JSON.parse(again.stdout)
    assert.deepEqual([again.code, again.stderr, copied, there, end], [0, '', 0, 3, 'done'])
  })

  test('takes them over with --move', async () => {
    await using folder = await openTwoStores()
    const { code, stdout } = await folder.run(`${copy} --move`)
    assert.equal(code, 0)
    assert.match(stdout, /^moved +3\n/)
    assert.equal((await filesOf(folder)).length, 3)
    assert.equal((await folder.run('sessiongate sessions list --json')).stdout, '')
  })

  test('names what cannot be read by its public id', async () => {
    await using folder = await openTwoStores()
    const other = commandConfig.replace('session: {', `session: { secret_key: ${'another'.repeat(10)}, `)
    await folder.write('config/other.yaml', other)
    const { code, stdout, stderr } = await folder.run(copy.replace('sessiongate.yaml', 'other.yaml'))
    assert.equal(code, 0)
    assert.match(stdout, /^copied +0\n.*\n.*\nunreadable +3\n/)
    assert.match(stderr, /^left where they are, since they cannot be read: [\w-]{22} [\w-]{22} [\w-]{22}\n$/)
    for (const { key } of folder.sessions) assert.ok(!stderr.includes(key))
  })

  const inCookies = `engine: signed_cookies, secret_key: ${secretKey}`
  const refused: [why: string, session: string, side: 'from' | 'to', says: RegExp][] = [
    ['cookies', inCookies, 'from', /signed_cookies keeps its sessions in the browsers/],
    ['cookies', inCookies, 'to', /signed_cookies keeps its sessions in the browsers/],
    ['memory', 'engine: cache', 'to', /sessions in memory are those of one process/],
    ['a move that is under way', 'read_also: { engine: file, file_path: ./var/files }', 'to', /use --move/],
  ]
  for (const [why, session, side, says] of refused) {
    test(`refuses what cannot be, before anything is opened: ${side} ${why}`, async () => {
      await using folder = await openTwoStores()
      const rest = {
        [inCookies]: `keys: [{ id: "1", secret: ${secretKey} }]\n`,
        'engine: cache': 'caches: { default: { backend: memory } }\n',
      }[session]
      await folder.write(
        'config/odd.yaml',
        commandConfig.replace('session: {', `session: { ${session}, `) + (rest ?? ''),
      )
      const line = side === 'from' ? copy.replace('sessiongate.yaml', 'odd.yaml') : copy.replace('new.yaml', 'odd.yaml')
      const { code, stdout, stderr } = await folder.run(line)
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, says)
      assert.deepEqual(await filesOf(folder), [])
    })
  }

  test('refuses a move out of a file that names two stores', async () => {
    await using folder = await openTwoStores()
    const two = commandConfig.replace('session: {', 'session: { read_also: { engine: file, file_path: ./var/files }, ')
    await folder.write('config/two.yaml', two)
    const { code, stderr } = await folder.run(`${copy.replace('sessiongate.yaml', 'two.yaml')} --move`)
    assert.equal(code, 2)
    assert.match(stderr, /this file has two/)
  })
})
