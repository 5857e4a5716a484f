import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { textWidth } from '../../../src/cli/text-width.ts'
import { type FakeAnswers, openFakeGateway } from './command-run.ts'

const id = '0mHNQ3bYw5Yl5tqcKQ8y0g'

const server = { server: '10.0.0.1:80', up: true, drained: false, ejections: 0 }
const upstreams = [
  {
    name: 'app',
    balance: 'round_robin',
    connections: { active: 1, idle: 2, pending: 0 },
    servers: [server, { ...server, server: '10.0.0.2:80', up: false, ejections: 3 }],
  },
]
const explanation = {
  target: 'GET http://x/ops',
  route: 'ops',
  goes_up_as: null,
  rules: [
    { id: 'login', hit: false, missed_by: 'path' },
    { id: 'ops', hit: true, missed_by: null },
  ],
  outcome: 'login',
  status: 302,
  location: '/login?next=%2Fops',
  reason: 'no_session',
  headers_up: [],
}
const configuration = {
  hash: 'abc',
  in_force: { mode: 'enforce', note: 'a\u009bb' },
  file: { path: 'x.yaml', is_valid: true, differences: [], problems: [] },
}
const difference = { path: 'routes[0].id', in_force: 'a\u001b[2J', in_file: null }

function withFile(file: Record<string, unknown>) {
  return { ...configuration, file: { ...configuration.file, ...file } }
}

const store = { engine: 'db', up: true, latency_seconds: 0.00125, local_cache: 'on', sessions: null, expired: null }

interface Case {
  readonly args: readonly string[]
  readonly answers: FakeAnswers
  readonly shown: RegExp
  readonly code?: number
  readonly tells?: RegExp
}

const cases: readonly Case[] = [
  {
    args: ['status'],
    answers: {
      'GET /api/overview': {
        version: '1.2.3',
        node: '26.0.0',
        started_at: '2026-11-23T14:01:07.114Z',
        uptime_seconds: 11_521,
        mode: 'observe',
        config_hash: 'abc',
        listen: ['127.0.0.1:8080', '/run/x'],
        ready: false,
        checks: { 'store:db': 'down', listener: 'up' },
        workers_up: 2,
      },
    },
    shown:
      /^ready +no\n {2}store:db +down\n {2}listener +up\nversion +1\.2\.3 on Node 26\.0\.0\nrunning since +2026\S+, for 3 h 12 min\nmode +observe\nlistens on +127\.0\.0\.1:8080, \/run\/x\nconfiguration +abc\nworkers up +2\n$/,
  },
  {
    args: ['routes'],
    answers: {
      'GET /api/routes': [
        {
          id: 'static',
          hosts: [],
          paths: ['/s/*'],
          methods: ['GET'],
          upstream: 'app',
          session: false,
          auth: 'optional',
          require: [],
          allow: null,
          mode: 'enforce',
        },
        {
          id: 'ops',
          hosts: ['x'],
          paths: ['/ops'],
          methods: [],
          upstream: 'app',
          session: true,
          auth: 'required',
          require: ['a.b'],
          allow: 'c == 1',
          mode: 'observe',
        },
      ],
    },
    shown:
      /^ROUTE .*\nstatic +any +GET +\/s\/\* +app +no session +- +enforce\nops +x +any +\/ops +app +required +a\.b && c == 1 +observe\n$/,
  },
  {
    args: ['upstreams'],
    answers: { 'GET /api/upstreams': upstreams },
    shown: /^UPSTREAM .*\napp +10\.0\.0\.1:80 +up +0 +round_robin +1 +2 +0\n +10\.0\.0\.2:80 +down +3\n$/,
  },
  {
    args: ['upstreams', 'drain', 'app', '10.0.0.1:80'],
    answers: {
      'POST /api/upstreams/app/drain': { server: '10.0.0.1:80', drained: true },
      'GET /api/upstreams': upstreams,
    },
    shown: /^drained 10\.0\.0\.1:80 of app\n$/,
  },
  {
    args: ['upstreams', 'drain', 'app', '10.0.0.1:80'],
    answers: {
      'POST /api/upstreams/app/drain': { server: '10.0.0.1:80', drained: true },
      'GET /api/upstreams': [{ ...upstreams[0], servers: [{ ...server, drained: true }] }],
    },
    shown: /^drained/,
    tells: /^app has no other server, so requests go there all the same\n$/,
  },
  {
    args: ['upstreams', 'resume', 'a/b', 'x'],
    answers: { 'POST /api/upstreams/{upstream}/resume': 0, 'GET /api/upstreams': upstreams },
    shown: /^$/,
    code: 1,
    tells: /no upstream is called a\/b; there are: app\n$/,
  },
  {
    args: ['upstreams', 'resume', 'app', '\u001bx'],
    answers: { 'POST /api/upstreams/{upstream}/resume': 0, 'GET /api/upstreams': upstreams },
    shown: /^$/,
    code: 1,
    tells: /app has no server \\u001bx; there are: 10\.0\.0\.1:80, 10\.0\.0\.2:80\n$/,
  },
  {
    args: ['store', '--count'],
    answers: { 'GET /api/store?count=true': { ...store, sessions: 12_345, expired: 4321, age: 7 } },
    shown:
      /^engine +db\nstate +up, answered in 1\.3 ms\nkept in the process +on\nsessions +12,345\nexpired +4,321\nage +7\n$/,
  },
  {
    args: ['store', 'show'],
    answers: { 'GET /api/store': { ...store, up: false, latency_seconds: null } },
    shown: /^engine +db\nstate +down\nkept in the process +on\n$/,
  },
  {
    args: ['store', 'clear-expired'],
    answers: { 'POST /api/store/clear-expired': { cleared: 1200 } },
    shown: /^1,200 expired sessions cleared\n$/,
  },
  {
    args: ['keys', 'list'],
    answers: { 'GET /api/keys': [{ id: 'k', algorithm: 'HS256', signs: true, age_seconds: 7 }] },
    shown: /^ID +ALGORITHM +SIGNS +AGE SECONDS\nk +HS256 +yes +7\n$/,
  },
  {
    args: ['config', 'show'],
    answers: { 'GET /api/configuration': configuration },
    shown: /^mode: enforce\nnote: .*a\\u009bb.*\n$/,
  },
  {
    args: ['config', 'diff', '--exit-code'],
    answers: { 'GET /api/configuration': configuration },
    shown: /^x\.yaml says what is in force\n$/,
  },
  {
    args: ['config', 'diff'],
    answers: { 'GET /api/configuration': withFile({ differences: [difference] }) },
    shown: /^KEY +IN FORCE +IN THE FILE\nroutes\[0\]\.id +a\\u001b\[2J +null\n$/,
  },
  {
    args: ['config', 'diff', '--exit-code'],
    answers: { 'GET /api/configuration': withFile({ differences: [difference] }) },
    shown: /^KEY/,
    code: 1,
    tells: /^$/,
  },
  {
    args: ['config', 'diff'],
    answers: {
      'GET /api/configuration': withFile({ is_valid: false, problems: [{ file: 'x.yaml', line: 7, message: 'no' }] }),
    },
    shown: /^$/,
    code: 78,
    tells: /^x\.yaml:7: no\nsessiongate: x\.yaml cannot be used as it is\n$/,
  },
  {
    args: ['reload'],
    answers: { 'POST /api/reload': { taken: true, hash: 'abc', problems: [] } },
    shown: /^in force: abc\n$/,
  },
  {
    args: ['reload'],
    answers: {
      'POST /api/reload': { taken: false, hash: 'abc', problems: [{ file: null, line: null, message: 'no' }] },
    },
    shown: /^$/,
    code: 78,
    tells: /^no\nsessiongate: refused: the configuration before stays in force\n$/,
  },
  {
    args: ['explain', 'GET', '/ops', '--session', id],
    answers: { 'POST /api/explain': explanation },
    shown:
      /^request +GET http:\/\/x\/ops\nrule +miss +login +\(path\)\nrule +hit +ops\nroute +ops\noutcome +login +\(no_session\)\nanswer +302\nlocation +\/login\?next=%2Fops\n$/,
  },
  {
    args: ['sessions', 'show', id],
    answers: {
      [`GET /api/sessions/${id}`]: {
        id,
        user: '7',
        expires_at: null,
        values_shown: false,
        data: { 'ca\u001brt': 'list of 1' },
      },
    },
    shown: new RegExp(`^public id +${id}\\nuser +7\\nexpires +-\\n {2}ca\\\\u001brt +list of 1\\n$`),
    tells: /with admin\.show_values: true the gateway shows the values/,
  },
  {
    args: ['sessions', 'show', id],
    answers: { 'GET /api/sessions/{id}': 0 },
    shown: /^$/,
    code: 1,
    tells: new RegExp(`no session has the public id ${id}\\n$`),
  },
]

describe('what the gateway says', () => {
  for (const { args, answers, shown, code = 0, tells = /^$/ } of cases) {
    test(`to ${args.join(' ').replaceAll('\u001b', 'ESC')} is shown: ${String(tells)}`, async () => {
      await using gateway = await openFakeGateway(answers)
      const ended = await gateway.run(args)
      assert.match(ended.stdout, shown)
      assert.match(ended.stderr, tells)
      assert.equal(ended.code, code)
      assert.doesNotMatch(ended.stdout + ended.stderr, /[^\P{C}\n]/u, 'no control but the end of a line')
    })
  }

  test('is its JSON with --json, whatever is in it, in one line', async () => {
    for (const { args, answers, code = 0 } of cases) {
      await using gateway = await openFakeGateway(answers)
      const ended = await gateway.run([...args, '--json'])
      assert.equal(ended.code, code)
      const [answer] = Object.entries(answers)
        .filter(([key]) => !key.includes('{'))
        .map(([, value]) => value)
      if (ended.stdout === '') continue
      assert.match(ended.stdout, /^[^\p{C}\p{Zl}\p{Zp}]*\n$/u)
      assert.deepEqual(JSON.parse(ended.stdout), answer)
    }
  })

  test('is no wider than the terminal', async () => {
    for (const { args, answers } of cases) {
      await using gateway = await openFakeGateway(answers)
      const { stdout } = await gateway.run(args, { columns: 60, env: { NO_COLOR: '1' } })
      if (args.includes('routes') || args.includes('status') || args[0] === 'sessions')
        for (const line of stdout.trimEnd().split('\n')) assert.ok(textWidth(line) <= 62, line)
    }
  })
})
