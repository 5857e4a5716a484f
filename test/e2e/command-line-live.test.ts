import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { endpoints } from '../../src/admin/endpoints.ts'
import { runCommand } from '../support/command.ts'
import { within } from '../support/deadline.ts'
import { putConfig } from '../support/reloads.ts'
import { runCommandLine } from '../unit/cli/command-run.ts'
import { checkout } from './command-folder.ts'
import { type LiveStage, openLiveStage, TOKEN } from './live-stage.ts'

const byConfig = '--config sessiongate.yaml'

/** What the document of the API says about that answer. */
function read(path: string, stdout: string) {
  const endpoint = endpoints.find((one) => one.path === path)
  assert.ok(endpoint, path)
  // biome-ignore lint/suspicious/noExplicitAny: answers are judged member by member
  return endpoint.output.parse(JSON.parse(stdout)) as any
}

/** What the same program answers to these arguments with `--json`, in this process: to start one takes the most of a test. */
async function readJson(stage: LiveStage, args: string, path: string) {
  const url = `unix:${stage.gateway.folder}/admin.sock`
  const env = { SESSIONGATE_ADMIN_TOKEN: TOKEN }
  const { code, stdout, stderr } = await runCommandLine([...args.split(' '), '--json', '--url', url], { env })
  assert.deepEqual([code, stderr.replace(/^there are more: .*\n$/, '')], [0, ''], args)
  return read(path, stdout)
}

/** Ends with 0, and nothing on stderr. */
async function fine(stage: LiveStage, line: string): Promise<string> {
  const { code, stdout, stderr } = await stage.run(line)
  assert.deepEqual([code, stderr], [0, ''], line)
  return stdout
}

test('what the gateway is and has is shown, as a table and as its JSON', async () => {
  await using stage = await openLiveStage()
  await stage.logIn({ id: 1 })
  const cases: readonly [line: string, path: string, shown: RegExp][] = [
    ['status', '/api/overview', /^ready +yes\n {2}store:db +up\n[\s\S]*\nlistens on +127\.0\.0\.1:\d+\n/],
    ['routes', '/api/routes', /^ROUTE .*\nlogin .*\nops .* session\.userInfo\.role == "ops" .*\napp .*\n$/],
    ['upstreams', '/api/upstreams', /^UPSTREAM .*\napp +127\.0\.0\.1:\d+ +up .*\n +127\.0\.0\.1:9 +up .*\n$/],
    [
      'store --count',
      '/api/store',
      /^engine +db\nstate +up, answered in \d+\.\d ms\n[\s\S]*\nsessions +1\nexpired +0\n/,
    ],
    ['store clear-expired', '/api/store/clear-expired', /^0 expired sessions cleared\n$/],
    [
      'keys list',
      '/api/keys',
      /^ID +PURPOSE +ALGORITHM +SIGNS.*\ngenerated +assertions +HS256 +yes.*\ncurrent +sessions +HMAC-SHA256 +yes/,
    ],
    ['config show', '/api/configuration', /^version: 1\n[\s\S]*"?\[redacted\]"?/],
    ['config diff', '/api/configuration', /^\/\S+\/sessiongate\.yaml says what is in force\n$/],
    ['reload', '/api/reload', /^in force: \S+\n$/],
  ]
  for (const [line, path, shown] of cases) {
    assert.match(await fine(stage, `sessiongate ${line} ${byConfig}`), shown, line)
    await readJson(stage, line, path)
  }
})

test('another address and another token than the configuration’s are taken', async () => {
  await using stage = await openLiveStage({ admin: `{ listen: "127.0.0.1:0", token: ${TOKEN} }` })
  const { operatorUrl } = stage.gateway
  const wrong = 'another-token-of-this-test'
  const ways = [
    { line: 'sessiongate status', env: { SESSIONGATE_ADMIN_TOKEN: TOKEN } },
    {
      line: `printf %s ${TOKEN} > token; sessiongate status --token-file token`,
      env: { SESSIONGATE_ADMIN_TOKEN: wrong },
    },
    { line: 'sessiongate status --token-file - < token', env: {} },
  ]
  for (const { line, env } of ways) {
    const { code, stdout } = await stage.run(`${line} --url ${operatorUrl}`, env)
    assert.equal(code, 0, line)
    assert.match(stdout, /^ready +yes\n/)
  }
  const refused = await stage.run(`sessiongate status --url ${operatorUrl}`, { SESSIONGATE_ADMIN_TOKEN: wrong })
  assert.deepEqual([refused.code, refused.stdout], [1, ''])
  assert.match(refused.stderr, /does not take this token/)
  const front = await stage.run(`sessiongate status --url ${stage.gateway.url}`, { SESSIONGATE_ADMIN_TOKEN: TOKEN })
  assert.equal(front.code, 1, 'the address of the browsers is no address of the operator')
  assert.match(front.stderr, /admin\.listen in the gateway’s configuration is the address to ask/)
})

test('a gateway without a token, or that is gone, is told from one that refuses', async () => {
  await using stage = await openLiveStage({ admin: '{ listen: "unix:./admin.sock" }' })
  const unnamed = await stage.run(`sessiongate status ${byConfig}`)
  assert.equal(unnamed.code, 2)
  assert.match(unnamed.stderr, /names no admin\.token/)
  const env = { SESSIONGATE_ADMIN_TOKEN: TOKEN }
  const without = await stage.run(`sessiongate status ${byConfig}`, env)
  assert.equal(without.code, 1)
  assert.match(without.stderr, /has no \/api: its configuration names no admin\.token/)
  await stage.gateway.stop()
  const gone = await stage.run('sessiongate status --url unix:./admin.sock', env)
  assert.equal(gone.code, 1)
  assert.match(gone.stderr, /no gateway answers at unix:\.\/admin\.sock \((ECONNREFUSED|ENOENT)\)/)
})

describe('sessions', () => {
  test('of the gateway are found, shown and ended, and a hostile name does nothing to the terminal', async () => {
    await using stage = await openLiveStage()
    const users = [
      { id: 1, role: 'clerk' },
      { id: 2, role: 'ops' },
      { id: 2, role: 'ops' },
      { id: 3, role: 'clerk' },
    ]
    const cookies: string[] = []
    for (const user of users) cookies.push(await stage.logIn(user))
    await stage.logIn({ id: 4 }, { '\u001b[2J\u009b\u202e': 1 })
    const list = (options: string) => readJson(stage, `sessions list${options}`, '/api/sessions')
    assert.equal((await list('')).sessions.length, 5)
    assert.equal((await list(' --user 2')).sessions.length, 2)
    assert.equal((await list(' --key userInfo.role --value clerk')).sessions.length, 2)
    const first = await list(' --limit 2')
    const second = await list(` --limit 5 --cursor ${first.next}`)
    assert.deepEqual([first.sessions.length, second.sessions.length, second.next], [2, 3, null])

    const table = await fine(stage, `sessiongate sessions list --live ${byConfig}`)
    assert.match(table, /^PUBLIC ID +USER +EXPIRES +KEYS IN IT\n/)
    assert.ok(table.includes('\\u001b[2J\\u009b\\u202e'))
    assert.doesNotMatch(table, /[^\P{C}\n]/u)

    const [{ id }] = (await list(' --user 3')).sessions
    const { stdout, stderr } = await stage.run(`sessiongate sessions show ${id} --live ${byConfig}`)
    assert.match(stdout, /\nuser +3\n[\s\S]*\n {2}userInfo +object of 2\n {2}cart +list of 1\n/)
    assert.match(stderr, /admin\.show_values/)
    assert.doesNotMatch(stdout, /canary|clerk/)

    const why = `sessiongate explain GET /ops --live ${byConfig} --session ${id}`
    assert.match(await fine(stage, why), /\nrule +hit +ops\nroute +ops\noutcome +ERR_FORBIDDEN/)
    assert.equal((await readJson(stage, `explain GET /ops --session ${id}`, '/api/explain')).route, 'ops')

    const byValue = await stage.run(`sessiongate sessions revoke --key userInfo.role --value ops --live ${byConfig}`)
    assert.deepEqual([byValue.code, byValue.stdout.split('\n').length, byValue.stderr], [0, 3, '2 sessions revoked\n'])
    const byId = await readJson(stage, `sessions revoke ${id}`, '/api/sessions/revoke')
    assert.deepEqual(byId, { revoked: 1, ids: [id] })
    assert.deepEqual(await Promise.all(cookies.map(stage.statusOf)), [200, 401, 401, 401])
    const again = await stage.run(`sessiongate sessions revoke ${id} --live ${byConfig}`)
    assert.deepEqual([again.code, again.stderr], [1, `sessiongate: no such session: ${id}\n`])
  })

  test('in the gateway’s own memory are found by asking it, and not by looking for a store', async () => {
    await using stage = await openLiveStage({ store: 'memory' })
    const cookie = await stage.logIn({ id: 7 })
    assert.doesNotMatch(await fine(stage, `sessiongate sessions list ${byConfig}`), /cart/)
    assert.match(await fine(stage, `sessiongate sessions list --live ${byConfig}`), / 7 .* cart\n/)
    const { code } = await stage.run(`sessiongate sessions revoke --user 7 --live ${byConfig}`)
    assert.deepEqual([code, await stage.statusOf(cookie)], [0, 401])
  })

  test('of the store are found and ended by a value too, large numbers exactly, beside a gateway', async () => {
    await using stage = await openLiveStage()
    const cookies = [await stage.logIn({ id: 1, role: 'ops' }), await stage.logIn({ id: 2, role: 'clerk' })]
    const listed = await fine(stage, `sessiongate sessions list ${byConfig} --json --key userInfo.role --value ops`)
    const { id } = JSON.parse(listed)
    const revoke = `sessiongate sessions revoke ${byConfig} --json`
    const { code, stdout, stderr } = await stage.run(`${revoke} --key userInfo.role --value ops`)
    assert.deepEqual([code, stdout], [0, `{"revoked":1,"ids":["${id}"]}\n`])
    assert.match(stderr, /^1 session revoked\n\{.*"event":"admin_revoke".*"asked":\["key","value"\],"count":1,.*\}\n$/)
    assert.deepEqual(await Promise.all(cookies.map(stage.statusOf)), [401, 200])
    const nobody = await stage.run(`${revoke} --key userInfo.id --value 1152921504606846977`)
    assert.deepEqual([nobody.code, nobody.stdout], [1, '{"revoked":0,"ids":[]}\n'])
    assert.match(nobody.stderr, /no session is with userInfo\.id = 1152921504606846977/)
  })
})

test('a server is drained and taken back, and a name that is none is told with those that there are', async () => {
  await using stage = await openLiveStage()
  const drain = `sessiongate upstreams drain app 127.0.0.1:9 ${byConfig}`
  assert.equal(await fine(stage, drain), 'drained 127.0.0.1:9 of app\n')
  assert.match(await fine(stage, `sessiongate upstreams ${byConfig}`), /\n +127\.0\.0\.1:9 +drained /)
  assert.equal(await fine(stage, drain.replace('drain', 'resume')), 'resumed 127.0.0.1:9 of app\n')
  const { code, stderr } = await stage.run(drain.replace(':9', ':10'))
  assert.equal(code, 1)
  assert.match(stderr, /app has no server 127\.0\.0\.1:10; there are: 127\.0\.0\.1:\d+, 127\.0\.0\.1:9\n$/)
})

test('a changed file is told, taken, or refused with its line', async () => {
  await using stage = await openLiveStage()
  const refused = stage.config.replace('upstream: app, auth: public', 'upstream: nobody, auth: public')
  // By the time it is asked, the gateway has perhaps seen the file, and not taken it either.
  await putConfig(stage.gateway, refused)
  const diff = await stage.run(`sessiongate config diff --url unix:./admin.sock`, { SESSIONGATE_ADMIN_TOKEN: TOKEN })
  assert.equal(diff.code, 78)
  assert.match(diff.stderr, /^\/\S+\/sessiongate\.yaml:\d+: .*nobody[\s\S]*cannot be used as it is\n$/m)
  const reload = await stage.run(`sessiongate reload --url unix:./admin.sock`, { SESSIONGATE_ADMIN_TOKEN: TOKEN })
  assert.equal(reload.code, 78)
  assert.match(reload.stderr, /nobody[\s\S]*refused: the configuration before stays in force\n$/)
  await putConfig(stage.gateway, stage.config.replace('auth: public', 'auth: optional'))
  assert.match(await fine(stage, `sessiongate reload ${byConfig}`), /^in force: /)
  assert.match(await fine(stage, `sessiongate routes ${byConfig}`), /\nlogin .* optional /)
  assert.equal((await stage.run(`sessiongate config diff --exit-code ${byConfig}`)).code, 0)
})

describe('tail', () => {
  test('shows what is asked for, ends with 0 by Ctrl-C and with 1 when the gateway goes; nobody sees the token', async () => {
    await using stage = await openLiveStage()
    const cookie = await stage.logIn({ id: 1, role: 'clerk' })
    using some = startTail(stage, ['--status', '403', '--token-file', '-'], TOKEN)
    using all = startTail(stage, [])
    const ask = async (path: string) => (await fetch(`${stage.gateway.url}${path}`, { headers: { cookie } })).text()
    const shown = Promise.all([some.shows(() => ask('/ops')), all.shows(() => ask('/'))])
    // Two programs have to start first.
    await within('both to show what they shall', shown, 60_000)
    const { stdout: processes } = await runCommand('ps', ['-A', '-ww', '-o', 'args'], { cwd: stage.gateway.folder })
    assert.ok(processes.includes('tail --url unix:./admin.sock'), 'the processes are seen')
    assert.ok(!processes.includes(TOKEN))
    assert.ok(some.lines.every((line) => line['url.path'] === '/ops' && line['http.response.status_code'] === 403))
    some.child.kill('SIGINT')
    assert.deepEqual(await some.ended(), { code: 0, stderr: '' })
    await stage.gateway.stop()
    const { code, stderr } = await all.ended()
    assert.equal(code, 1)
    assert.match(stderr, /has ended the stream|has closed the connection/)
  })
})

type Line = Readonly<Record<string, unknown>>

/** `tail` of the gateway in a process of its own. */
function startTail({ gateway }: LiveStage, args: readonly string[], stdin?: string) {
  const child = spawn(
    process.execPath,
    [join(checkout, 'src/main.ts'), 'tail', '--url', 'unix:./admin.sock', ...args],
    {
      cwd: gateway.folder,
      env: { PATH: process.env.PATH, ...(stdin === undefined ? { SESSIONGATE_ADMIN_TOKEN: TOKEN } : {}) },
    },
  )
  child.stdin.end(stdin)
  const lines: Line[] = []
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (line) => lines.push(JSON.parse(line)))
  const [stderr, exited] = [text(child.stderr), once(child, 'exit')]
  return {
    child,
    lines,
    /** Asks until something is shown: only then does it watch. */
    async shows(ask: () => Promise<unknown>) {
      const shown = once(reader, 'line')
      while (lines.length === 0) await Promise.race([ask(), shown])
    },
    async ended() {
      const [code] = await within('the end of tail', exited)
      return { code, stderr: await stderr }
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  }
}
