import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { once } from 'node:events'
import { access, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { startApp } from '../support/app.ts'
import { startGateway } from '../support/gateway.ts'
import { checkout, commandConfig as config, openCommandFolder } from './command-folder.ts'

describe('wrong usage ends with 2 and says what is wrong', { concurrency: 2 }, () => {
  const cases: readonly [why: string, line: string, says: RegExp][] = [
    ['an unknown command', 'sessiongate frobnicate', /unknown command 'frobnicate'/],
    ['a command that is nearly one', 'sessiongate chekc', /Did you mean check\?/],
    ['an unknown option', 'sessiongate check --frob', /unknown option '--frob'/],
    ['a missing argument', 'sessiongate explain GET', /missing required argument 'url'/],
    ['a group without its command', 'sessiongate sessions', /Usage: sessiongate sessions/],
    ['a method in small letters', 'sessiongate explain get /', /"get" is no method; they are in capitals/],
    ['a count of none', 'sessiongate sessions list --limit 0', /a count is a whole number above 0, not "0"/],
    ['an unknown algorithm', 'sessiongate keys new --algorithm RS256', /Allowed choices are HS256, EdDSA, ES256/],
    ['no upstream', 'sessiongate keys derive', /required option '--upstream <name>' not specified/],
    ['an unknown upstream', 'sessiongate keys derive --upstream shop', /no upstream is called shop; the file has: app/],
    ['nobody to ask for readiness', 'sessiongate healthcheck', /neither admin nor probes listens; give --url/],
  ]
  for (const [why, line, says] of cases) {
    test(why, async () => {
      await using folder = await openCommandFolder(config)
      const { code, stdout, stderr } = await folder.run(line)
      assert.equal(code, 2)
      assert.match(stderr, says)
      assert.equal(stdout, '')
    })
  }
})

describe('a configuration that cannot be used ends with 78', { concurrency: 2 }, () => {
  const commands = [
    'serve',
    'check',
    'explain GET /',
    'sessions list',
    'sessions clear-expired',
    'sessions decode x',
    'keys derive --upstream app',
    'healthcheck',
  ]
  for (const command of commands) {
    test(`${command}, of a file that is not there`, async () => {
      await using folder = await openCommandFolder(config)
      const { code, stdout, stderr } = await folder.run(`sessiongate ${command} --config nowhere.yaml`)
      assert.equal(code, 78)
      assert.match(stderr, /^nowhere\.yaml: error: there is no such file\n/)
      assert.equal(stdout, '')
    })
  }

  test('with file, line, column, a caret and the way out, everything at once', async () => {
    await using folder = await openCommandFolder(
      config.replace('hosts:', 'host:').replace('upstream: app', 'upstream: ap'),
    )
    const { code, stderr } = await folder.run('sessiongate check')
    assert.equal(code, 78)
    assert.match(
      stderr,
      /^config\/sessiongate\.yaml:3:1: error: .*\n +3 \| host: \[app\.example\.com\]\n +\| \^+\n +=.*hosts/,
    )
    assert.match(stderr, /sessiongate\.yaml:8:\d+: error: there is no upstream "ap"/)
    assert.match(stderr, /config\/sessiongate\.yaml: 2 errors, \d+ warnings?\n$/)
  })

  test('as JSON for programs, with nothing beside it', async () => {
    await using folder = await openCommandFolder(config.replace('hosts:', 'host:'))
    const { code, stdout, stderr } = await folder.run('sessiongate check --json')
    const { ok, problems } = JSON.parse(stdout)
    assert.deepEqual([code, ok, stderr], [78, false, ''])
    assert.deepEqual(
      problems.map(({ severity, line, column }: Record<string, unknown>) => [severity, line, column]).slice(0, 1),
      [['error', 3, 1]],
    )
  })
})

describe('check', () => {
  test('of a sound file ends with 0; warnings go to stderr', async () => {
    await using folder = await openCommandFolder(config)
    const { code, stdout, stderr } = await folder.run('sessiongate check')
    assert.equal(code, 0)
    assert.equal(stdout, 'config/sessiongate.yaml: sound, 1 warning\n')
    assert.match(stderr, /warning: the route "login" is open to strangers \(auth: public\)/)
  })

  test('as JSON', async () => {
    await using folder = await openCommandFolder(config)
    const { code, stdout, stderr } = await folder.run('sessiongate check --json')
    assert.deepEqual([code, stderr], [0, ''])
    const { ok, problems } = JSON.parse(stdout)
    assert.equal(ok, true)
    assert.equal(problems[0].severity, 'warning')
    assert.equal(problems[0].path, 'routes[0].id')
  })
})

describe('explain', () => {
  test('says for a stranger which rules were looked at and where it ends, and touches no store', async () => {
    await using folder = await openCommandFolder(config)
    const { code, stdout, stderr } = await folder.run('sessiongate explain GET /admin/users')
    assert.deepEqual([code, stderr], [0, ''])
    assert.deepEqual(stdout.split('\n'), [
      'request   GET http://app.example.com/admin/users',
      'rule      miss  login  (path)',
      'rule      hit   admin',
      'route     admin',
      'outcome   login  (no_session)',
      'answer    302',
      'location  /login?next=%2Fadmin%2Fusers',
      '',
    ])
    await assert.rejects(access(join(folder.path, 'var/sessiongate.sqlite3')))
  })

  test('says for a session what the app would get, without a value', async () => {
    await using folder = await openCommandFolder(config)
    const { id, key } = await folder.store('{"userInfo":{"name":"Ada Lovelace"}}')
    const { code, stdout } = await folder.run(`sessiongate explain GET /reports --session ${id}`)
    assert.equal(code, 0)
    assert.match(stdout, /^outcome {3}forwarded {2}\(user\)$/m)
    assert.match(stdout, /^header {4}X-Session-Assertion: \(\d+ characters\)$/m)
    assert.match(stdout, /^header {4}X-User-Name: \(12 characters\)$/m)
    assert.ok(!stdout.includes('Ada') && !stdout.includes(key))
  })

  test('as JSON, also for what is refused', async () => {
    await using folder = await openCommandFolder(config)
    const { id } = await folder.store('{"userInfo":{"name":"Ada"}}')
    const answers = await Promise.all(
      [
        `GET http://app.example.com/admin --session ${id}`,
        'GET /admin/%2e%2e/x',
        'GET http://other.example/',
        'GET /ADMIN',
      ].map(async (question) => {
        const { code, stdout } = await folder.run(`sessiongate explain ${question} --json`)
        const { outcome, status, route } = JSON.parse(stdout)
        return [code, outcome, status, route]
      }),
    )
    assert.deepEqual(answers, [
      [0, 'ERR_FORBIDDEN', 403, 'admin'],
      [0, 'ERR_TARGET_AMBIGUOUS', 400, undefined],
      [0, 'ERR_HOST_UNKNOWN', 421, undefined],
      [0, 'ERR_TARGET_AMBIGUOUS', 400, undefined],
    ])
  })

  test('of a session that is not there ends with 1', async () => {
    await using folder = await openCommandFolder(config)
    const { code, stderr } = await folder.run('sessiongate explain GET / --session 0mHNQ3bYw5Yl5tqcKQ8y0g')
    assert.equal(code, 1)
    assert.match(stderr, /no session has the public id 0mHNQ3bYw5Yl5tqcKQ8y0g/)
  })
})

describe('keys', () => {
  test('new makes one of each kind, another each time', async () => {
    await using folder = await openCommandFolder(config)
    const secrets = await Promise.all([folder.run('sessiongate keys new'), folder.run('sessiongate keys new')])
    for (const { code, stdout } of secrets) {
      assert.equal(code, 0)
      assert.match(stdout, /^[\w-]{64}\n$/)
    }
    assert.notEqual(secrets[0].stdout, secrets[1].stdout)
    for (const [algorithm, type] of [
      ['EdDSA', 'ed25519'],
      ['ES256', 'ec'],
    ]) {
      const { stdout } = await folder.run(`sessiongate keys new --algorithm ${algorithm}`)
      assert.equal(createPrivateKey(stdout).asymmetricKeyType, type)
    }
  })

  test('derive prints what the header contract says, for the key that signs or for another', async () => {
    const keys = `keys:
  - { id: "2026-11", secret: 0123456789abcdef0123456789abcdef }
  - { id: "2026-10", secret: ${'x'.repeat(32)} }
`
    await using folder = await openCommandFolder(
      `${config.replaceAll('app:', 'legacy:').replaceAll(': app', ': legacy')}${keys}`,
    )
    const derived = await folder.run('sessiongate keys derive --upstream legacy')
    assert.deepEqual([derived.code, derived.stdout], [0, '-O9YE71h9iXu8YL5nvOaO3lAE73Y4AxJoD7te3p6GBo\n'])
    const older = await folder.run('sessiongate keys derive --upstream legacy --key 2026-10')
    assert.equal(older.code, 0)
    assert.notEqual(older.stdout, derived.stdout)
    assert.equal((await folder.run('sessiongate keys derive --upstream legacy --key 2026-09')).code, 2)
  })
})

test('schema prints the file that the repository has', async () => {
  await using folder = await openCommandFolder(config)
  const { code, stdout } = await folder.run('sessiongate schema')
  assert.equal(code, 0)
  assert.equal(JSON.parse(stdout).$schema, 'http://json-schema.org/draft-07/schema#')
  assert.equal(stdout, await readFile(join(checkout, 'sessiongate.schema.json'), 'utf8'))
})

test('healthcheck ends with 0 while the gateway is ready, and with 1 when nobody answers', async () => {
  await using folder = await openCommandFolder(config)
  await using gateway = await startGateway({ config: config.replace('admin: off\n', '') })
  const ready = await folder.run(`sessiongate healthcheck --url ${gateway.operatorUrl}/readyz`)
  assert.deepEqual([ready.code, ready.stdout], [0, 'ready\n'])
  await gateway.stop()
  const gone = await folder.run(`sessiongate healthcheck --url ${gateway.operatorUrl}/readyz`)
  assert.deepEqual([gone.code, gone.stdout], [1, ''])
  assert.match(gone.stderr, /not ready: .* does not answer/)
})

test('healthcheck --wait asks until the answer is yes, or the time is over; --live does not ask for the store', async () => {
  await using folder = await openCommandFolder(config)
  let asked = 0
  await using slow = await startApp(() => ({ status: ++asked < 3 ? 503 : 200 }))
  const ready = await folder.run(`sessiongate healthcheck --wait 10s --url ${slow.origin}/readyz`)
  assert.deepEqual([ready.code, ready.stdout, asked], [0, 'ready\n', 3])
  await using down = await startApp(({ url }) => ({ status: url === '/livez' ? 200 : 503 }))
  await folder.write('gate.yaml', config.replace('admin: off', `admin: { listen: "${new URL(down.origin).host}" }`))
  const live = await folder.run('sessiongate healthcheck --live --config gate.yaml')
  assert.deepEqual([live.code, live.stdout], [0, 'live\n'])
  const still = await folder.run('sessiongate healthcheck --wait 150ms --config gate.yaml')
  assert.equal(still.code, 1)
  assert.match(still.stderr, /not ready: .*\/readyz 503/)
})

test('serve ends with 1 when its address is taken', async () => {
  await using taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const address = taken.address()
  assert.ok(typeof address === 'object' && address !== null)
  await using folder = await openCommandFolder(config.replace('127.0.0.1:0', `127.0.0.1:${address.port}`))
  const { code, stderr } = await folder.run('sessiongate serve')
  assert.equal(code, 1)
  assert.match(stderr, /EADDRINUSE/)
})

test('--version and --help end with 0', async () => {
  await using folder = await openCommandFolder(config)
  const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8'))
  const said = await folder.run('sessiongate --version')
  assert.deepEqual([said.code, said.stdout], [0, `${version}\n`])
  const help = await folder.run('sessiongate --help')
  assert.equal(help.code, 0)
  for (const name of ['serve', 'check', 'explain', 'sessions', 'keys', 'schema', 'healthcheck']) {
    assert.match(help.stdout, new RegExp(`^ {2}${name} `, 'm'))
  }
})
