import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { CliContext, SessionTools } from '../../../src/cli/context.ts'
import { runProgram } from '../../../src/cli/program.ts'
import { compileUserId } from '../../../src/sessions/user-index.ts'
import { createUserSessions } from '../../../src/sessions/user-sessions.ts'
import { atOnce, TwoStores } from '../sessions/two-stores.ts'

/** Runs `sessions …` on a store with these sessions of the user 7, which may know what it holds or not. */
async function run(args: readonly string[], store: Partial<Store> = {}) {
  const { count = 0, lists = false, hasUserId = true } = store
  const world = new TwoStores()
  world.old.rows.clear()
  for (let i = 0; i < count; i++) world.old.put(`session${i}`, '{"userInfo":{"id":7}}')
  const engine = { ...world.old.connect(atOnce), lists, isServerSide: store.isServerSide ?? true }
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-users-'))
  const config = join(folder, 'any.yaml')
  const routes = 'routes: [{ id: app, match: { path: /* }, upstream: app }]'
  await writeFile(config, `version: 1\nupstreams: { app: { servers: ["http://127.0.0.1:9"] } }\n${routes}\n`)
  const [stdout, stderr]: [string[], string[]] = [[], []]
  const unused = () => assert.fail('no part of it')
  const tools: SessionTools = {
    engine,
    publicId: (key) => store.publicId ?? `id-of-${key}`,
    userSessions: hasUserId ? createUserSessions(engine, compileUserId(['userInfo', 'id']), undefined) : undefined,
    clearBatch: 10,
    async [Symbol.asyncDispose]() {},
  }
  const context: CliContext = {
    env: {},
    print: (text) => void stdout.push(text),
    tell: (text) => void stderr.push(text),
    readStdin: unused,
    isTerminal: false,
    onInterrupt: unused,
    pause: unused,
    version: '0',
    openGateway: unused,
    openFleet: unused,
    openSessionTools: async () => tools,
    decode: unused,
    readGeneratedSigningKey: unused,
    explain: unused,
    storeExaminations: unused,
  }
  try {
    const code = await runProgram(['sessions', ...args, '--config', config], context)
    return { code, stdout: stdout.join(''), stderr: stderr.join('') }
  } finally {
    await rm(folder, { recursive: true })
  }
}

interface Store {
  readonly count: number
  readonly lists: boolean
  readonly isServerSide: boolean
  readonly hasUserId: boolean
  /** Of every session; default `id-of-KEY`. */
  readonly publicId: string
}

describe('a store that cannot say what it holds', () => {
  const lines = ['list', 'list --json', 'list --user 7', 'revoke --user 7', 'revoke some-id', 'show some-id']
  for (const line of lines) {
    test(`is no empty one: ${line}`, async () => {
      const { code, stdout, stderr } = await run(line.split(' '))
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(
        stderr,
        /this store cannot say what it holds, .* with session.user_index those of a user are found\n$/,
      )
    })
  }

  test('may be one of two, and then the half is told for what it is', async () => {
    const { code, stdout, stderr } = await run(['list', '--json'], { count: 2 })
    assert.equal(code, 0)
    assert.equal(stdout.trim().split('\n').length, 2)
    assert.equal(stderr, 'there may be more: one of the stores cannot say what it holds\n')
  })

  test('may be one of two, of which all sessions of a user are ended that are told', async () => {
    const { code, stdout, stderr } = await run(['revoke', '--user', '7'], { count: 1 })
    assert.deepEqual([code, stdout], [0, 'revoked id-of-session0\n'])
    assert.match(stderr, /\nthere may be more: .*\n1 session revoked\n\{.*"msg":"audit".*"count":1,.*\}\n$/)
  })

  test('is none when nothing is kept anywhere', async () => {
    const { code, stderr } = await run(['list'], { isServerSide: false })
    assert.deepEqual([code, stderr], [1, 'sessiongate: signed_cookies keeps no session that could be listed\n'])
  })
})

describe('the users of sessions', () => {
  for (const line of ['list --user 7', 'revoke --user 7']) {
    test(`are unknown without session.user_id: ${line}`, async () => {
      const { code, stdout, stderr } = await run(line.split(' '), { count: 1, lists: true, hasUserId: false })
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, /session.user_id is not set/)
    })
  }

  test('are noted in an index, where there is one', async () => {
    const { code, stderr } = await run(['index'], { lists: true })
    assert.deepEqual([code, stderr], [2, 'sessiongate: there is no index of users: session.user_index is not set\n'])
  })

  test('without sessions are named, with exit code 1', async () => {
    const { code, stdout, stderr } = await run(['revoke', '--user', 'Zo\u00eb'], { count: 1, lists: true })
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /no session is of the user "Zo\u00eb"\n$/)
  })

  test('who have none are an empty list', async () => {
    const { code, stdout } = await run(['list', '--user', '8'], { count: 1, lists: true })
    assert.deepEqual([code, stdout], [0, `${'PUBLIC ID'.padEnd(24)}${'EXPIRES'.padEnd(26)}KEYS IN IT\n`])
  })
})

describe('a public id that begins with a dash, as one in sixty-four does', () => {
  for (const publicId of ['-C8kXbYw5Yl5tqcKQ8y0gA', '--help_w5Yl5tqcKQ8y0gA']) {
    for (const verb of ['show', 'revoke']) {
      test(`is no option: ${verb} ${publicId}`, async () => {
        const { code, stdout, stderr } = await run([verb, publicId], { count: 1, lists: true, publicId })
        assert.equal(code, 0, stderr)
        assert.ok(stdout.includes(publicId) && !stdout.includes(` ${publicId}"`), stdout)
      })
    }
  }

  test('and what only looks like one is an unknown option still', async () => {
    const { code, stderr } = await run(['show', '--show-key'], { count: 1, lists: true })
    assert.equal(code, 2)
    assert.match(stderr, /unknown option '--show-key'/)
  })
})
