import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, readdir, writeFile } from 'node:fs/promises'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { startApp } from '../support/app.ts'
import { openAuthority } from '../support/certificates.ts'
import { startExampleApp } from '../support/example-app.ts'
import { startGateway } from '../support/gateway.ts'
import { findFreePort } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { startServerProgram } from '../support/server-program.ts'
import { type CommandFolder, checkout, commandConfig, openCommandFolder } from './command-folder.ts'

interface Check {
  readonly area: string
  readonly verdict: 'good' | 'warning' | 'fault'
  readonly text: string
  readonly advice?: string
}

interface Report {
  readonly code: number | null
  readonly ok: boolean
  readonly faults: number
  readonly checks: readonly Check[]
  /** Texts of that verdict, which may be restricted to areas that begin so. */
  texts(verdict: Check['verdict'], area?: string): string[]
}

/** What the machine of the test is does not matter: its Node, its user. */
async function doctor(folder: CommandFolder, args = '', env: Record<string, string> = {}): Promise<Report> {
  const { code, stdout, stderr } = await folder.run(`sessiongate doctor --json ${args}`, env)
  assert.equal(stderr, '')
  const report = JSON.parse(stdout) as Omit<Report, 'code' | 'texts'>
  return {
    ...report,
    code,
    texts: (verdict, area = '') =>
      report.checks.filter((check) => check.verdict === verdict && check.area.startsWith(area)).map(({ text }) => text),
  }
}

/** With a listener and an app that are there. */
function configFor(app: string): string {
  return commandConfig.replace('http://127.0.0.1:9', app)
}

describe('doctor', () => {
  test('finds nothing wrong around a gateway that runs, and leaves nothing behind', async () => {
    await using folder = await openCommandFolder('')
    await using app = await startApp(() => ({ body: 'hello' }))
    const [listen, admin] = [`127.0.0.1:${await findFreePort()}`, `127.0.0.1:${await findFreePort()}`]
    const config = configFor(app.origin)
      .replace('127.0.0.1:0', listen)
      .replace('admin: off', `admin: { listen: "${admin}" }`)
    await folder.write('sessiongate.yaml', config)
    await folder.write('config/sessiongate.yaml', `${config}logging: { level: debug }\n`)
    await using gateway = await startGateway({ config, hasConfig: true, folder: folder.path })
    const before = await readdir(folder.path, { recursive: true })
    const report = await doctor(folder, '--config sessiongate.yaml')
    assert.deepEqual(report.texts('fault'), [])
    assert.deepEqual([report.code, report.ok, report.faults], [0, true, 0])
    assert.deepEqual(report.texts('good', 'listener'), [`${listen} is held by a sessiongate that runs`])
    assert.deepEqual(report.texts('good', 'operator').slice(0, 3), [
      `${admin} is held by a sessiongate that runs`,
      'the gateway that runs is ready',
      'it runs with this configuration',
    ])
    const other = await doctor(folder)
    assert.deepEqual(other.texts('warning', 'operator'), [
      'it runs with another configuration than this file is by now',
    ])
    assert.match(
      report.texts('good', 'upstream app').join(),
      /takes connections.*HEAD \/ for app\.example\.com is answered with 200/,
    )
    assert.match(report.texts('good', 'database').join(), /journal mode wal.*has django_session.*a row can be written/)
    assert.deepEqual(report.texts('warning', 'files'), [])
    assert.deepEqual(report.texts('warning', 'configuration').length, 1, 'the login page is open, which check says too')
    assert.equal(app.requests.length, 2)
    assert.deepEqual((await readdir(folder.path, { recursive: true })).sort(), before.sort())
    const list = await folder.run('sessiongate sessions list --json')
    assert.equal(list.stdout, '')
    assert.equal(await gateway.stop(), 0)
  })

  test('knows the operator’s listener that speaks TLS, and what opens its /api', async () => {
    await using folder = await openCommandFolder('')
    const authority = await openAuthority(folder.path)
    const { cert, key } = await authority.issue({ hosts: ['localhost'] })
    const admin = `127.0.0.1:${await findFreePort()}`
    const files = { 'ops.crt': cert, 'ops.key': key, 'ca.crt': authority.cert }
    const tls = 'tls: { cert: ops.crt, key: ops.key, client_ca: ca.crt }'
    const config = commandConfig.replace('admin: off', `admin: { listen: "${admin}", ${tls} }`)
    await using _ = await startGateway({ config, files, folder: folder.path })
    await folder.write('config/sessiongate.yaml', config)
    const report = await doctor(folder)
    assert.deepEqual(report.texts('fault', 'operator'), [])
    assert.deepEqual(report.texts('good', 'operator').slice(0, 2), [
      `${admin} is held by a sessiongate that runs`,
      'the gateway that runs is ready',
    ])
    assert.equal(report.texts('good', 'operator').at(-1), '/api is open to whoever has a certificate by ca.crt')
  })

  test('before the first start nothing is made, and it says what will be', async () => {
    await using folder = await openCommandFolder(commandConfig)
    await folder.run('rm -r var')
    const report = await doctor(folder)
    assert.equal(report.code, 1)
    assert.deepEqual(report.texts('fault'), ['nothing listens on 127.0.0.1:9'])
    assert.match(report.texts('good', 'database').join(), /sessiongate\.sqlite3 is made at the first start/)
    assert.match(report.texts('good', 'files').join(), /var\/secret-key is made at the first start/)
    assert.deepEqual(await readdir(folder.path), ['config'])
  })

  test('says on which line a configuration is wrong, and ends with 78', async () => {
    await using folder = await openCommandFolder(`${commandConfig}trusted_proxies: [0.0.0.0/0]\nlogin: { ulr: /x }\n`)
    const report = await doctor(folder)
    assert.equal(report.code, 78)
    assert.match(report.texts('fault').join('\n'), /sessiongate\.yaml:15:\d+: .*0\.0\.0\.0\/0[\s\S]*:16:\d+: .*ulr/)
    const { code, stdout } = await folder.run('sessiongate doctor')
    assert.equal(code, 78)
    assert.match(stdout, /^runtime\n[\s\S]*^configuration\n[\s\S]*^ {2}✗ /m)
    assert.equal((await folder.run('sessiongate doctor --config nowhere.yaml')).code, 78)
  })

  test('who holds an address is told: a sessiongate, or another program', async () => {
    await using folder = await openCommandFolder('')
    await using stranger = await startServer((socket) => socket.end('220 mail\r\n'))
    const { port } = stranger
    const listen = `listen: [{ address: "127.0.0.1:${port}" }, { address: "192.0.2.1:8080" }, { address: "unix:./nowhere/x.sock" }]`
    await folder.write('config/sessiongate.yaml', commandConfig.replace(/^listen: .*$/m, listen))
    const report = await doctor(folder)
    assert.deepEqual(report.texts('fault', 'listener'), [
      `127.0.0.1:${port} is taken by another program`,
      '192.0.2.1:8080: this machine has no such address',
      'unix:./nowhere/x.sock: its folder does not exist',
    ])
  })

  test('each server of an app is reached as requests reach it: its name, its authority, its answer', async () => {
    await using folder = await openCommandFolder('')
    const authority = await openAuthority(folder.path)
    const { cert, key } = await authority.issue({ hosts: ['app.internal'] })
    const server = createTlsServer({ cert, key }, (_request, response) => response.writeHead(503).end('\u001b[31mno'))
    await using stack = new AsyncDisposableStack()
    stack.defer(() => {
      server.close()
      server.closeAllConnections()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    await using silent = await startServer(() => {})
    const upstream = (tls: string) =>
      commandConfig.replace(
        /^upstreams: .*$/m,
        `upstreams: { app: { servers: ["https://127.0.0.1:${port}", "http://127.0.0.1:${silent.port}"], tls: ${tls} } }`,
      )
    await writeFile(join(folder.path, 'ca.crt'), authority.cert)
    const cases: [tls: string, verdict: Check['verdict'], text: RegExp, advice: RegExp][] = [
      ['{ server_name: app.internal }', 'fault', /not believed.*(SELF_SIGNED|UNABLE)/, /tls\.ca/],
      ['{ ca: ca.crt }', 'fault', /not believed.*ALTNAME/, /tls\.server_name/],
      ['{ ca: ca.crt, server_name: app.internal }', 'warning', /is answered with 503/, /log of the app/],
    ]
    for (const [tls, verdict, text, advice] of cases) {
      await folder.write('config/sessiongate.yaml', upstream(tls))
      const { checks } = await doctor(folder)
      const found = checks.find((check) => check.area.includes(`${port}`) && text.test(check.text))
      assert.equal(
        found?.verdict,
        verdict,
        `${tls}: ${JSON.stringify(checks.filter(({ area }) => area.includes('https')))}`,
      )
      assert.match(found?.advice ?? '', advice, tls)
      const mute = checks.filter(({ area }) => area.includes(`${silent.port}`)).map(({ text }) => text)
      assert.match(mute.join(), /gives no answer to HTTP \(nothing within 1\.8 s\)/)
    }
  })

  test('no secret is shown, and what others could read or replace is told', async () => {
    await using folder = await openCommandFolder('')
    const secrets = ['postgres-pass-5ecret', 'x'.repeat(40), 'token-of-the-operator-5ecret']
    await folder.write('secret', `${secrets[1]}\n`)
    await folder.write(
      'config/sessiongate.yaml',
      commandConfig
        .replace('session: {', `session: { secret_key: "\${file:secret}",`)
        .replace('admin: off', `admin: { listen: "127.0.0.1:0", token: ${secrets[2]} }`)
        .concat(
          `keys: [{ id: a, secret: "\${file:secret}" }]\ndatabase: { url: "postgres://u:${secrets[0]}@127.0.0.1:9/x" }\n`,
        ),
    )
    await chmod(join(folder.path, 'config/sessiongate.yaml'), 0o644)
    const { code, stdout, stderr } = await folder.run('sessiongate doctor')
    assert.equal(code, 1)
    for (const secret of secrets) assert.ok(!`${stdout}${stderr}`.includes(secret))
    assert.match(stdout, /^ {2}! every user of this machine can read the secret in .*sessiongate\.yaml \(0644\)$/m)
    assert.match(stdout, /^ {2}✓ .*\/secret holds a secret, and is closed to other users \(0600\)$/m)
    assert.match(stdout, /^database\n {2}✗ .*127\.0\.0\.1:9\/x/m)
    assert.match(stdout, /! session\.secret_key signs assertions too/)
  })
})

describe('doctor --verify-upstream', () => {
  test('an app that verifies accepts the valid request and no other', async () => {
    await using folder = await openCommandFolder(commandConfig)
    await folder.run('sessiongate keys derive --upstream app')
    await using app = await startExampleApp(folder.path)
    await folder.write('config/sessiongate.yaml', configFor(app.origin))
    const { code, stdout } = await folder.run(`sessiongate doctor --verify-upstream ${app.origin}/`)
    assert.equal(code, 0, stdout)
    assert.deepEqual(
      stdout.split('\n').filter((line) => /accepted \(|refused \(/.test(line)),
      [
        '  ✓ valid: accepted (200)',
        '  ✓ expired an hour ago: refused (403)',
        '  ✓ for another app (aud): refused (403)',
        '  ✓ unsigned (alg none): refused (403)',
        '  ✓ misspelt (X_Session_Assertion): refused (403)',
        '  ✓ without an assertion: refused (403)',
      ],
    )
    assert.match(stdout, /an answer with 2xx counts as accepted/)
  })

  const php = requireServer('php')
  test('an app whose server takes "_" for "-" is told so, and verifies for the rest', { skip: php.skip }, async () => {
    await using folder = await openCommandFolder('')
    const example = join(checkout, 'examples/php-app')
    const port = await findFreePort()
    const env = { SESSIONGATE_SECRET: 'a secret of more than thirty-two bytes', APP: `http://127.0.0.1:${port}` }
    const config = `--config ${example}/sessiongate.yaml`
    const key = (await folder.run(`sessiongate keys derive --upstream php ${config}`, env)).stdout.trim()
    await using _app = await startServerProgram(php.path, ['-S', `127.0.0.1:${port}`, '-t', join(example, 'public')], {
      cwd: folder.path,
      env: { PATH: process.env.PATH, SESSIONGATE_KEY: key, RECEIPTS: folder.path },
      listensOn: [port],
    })
    const report = await doctor(folder, `--verify-upstream ${env.APP}/ ${config}`, env)
    assert.deepEqual(report.texts('fault'), ['misspelt (X_Session_Assertion): accepted (200)'])
    assert.equal(report.texts('good').length, 6)
  })

  test('one that verifies nothing is a fault for each of the bad ones', async () => {
    await using folder = await openCommandFolder(commandConfig)
    await folder.run('sessiongate keys derive --upstream app')
    await using app = await startApp(() => ({ body: 'come in' }))
    const report = await doctor(folder, `--verify-upstream ${app.origin}/private --upstream app`)
    assert.equal(report.code, 1)
    assert.equal(report.faults, 5)
    assert.ok(report.checks.every(({ verdict, advice }) => verdict !== 'fault' || advice !== undefined))
    const [valid, expired, , unsigned, misspelt, nothing] = app.requests
    assert.equal(valid?.claims().aud, 'app')
    assert.equal(valid?.values('X-User-Name').join(), 'doctor')
    assert.ok(Number(expired?.claims().exp) < Date.now() / 1000 - 3000)
    assert.match(unsigned?.values('X-Session-Assertion')[0] ?? '', /^[\w-]+\.[\w-]+\.$/)
    assert.deepEqual(
      [misspelt?.values('X_Session_Assertion').length, misspelt?.values('X-Session-Assertion').length],
      [1, 0],
    )
    assert.deepEqual([nothing?.values('X-Session-Assertion').length, nothing?.values('X-User-Name').length], [0, 1])
    assert.ok(app.requests.every(({ method, url }) => method === 'GET' && url === '/private'))
  })

  test('one that refuses the valid request is a fault, and how it shows acceptance can be said', async () => {
    await using folder = await openCommandFolder(commandConfig)
    await folder.run('sessiongate keys derive --upstream app')
    await using app = await startApp(({ values }) => {
      const claims = values('X-Session-Assertion')[0]?.split('.')
      const { exp = 0, aud, ses = {} } = JSON.parse(Buffer.from(claims?.[1] ?? 'e30', 'base64url').toString())
      const isGood = claims?.[2] !== '' && exp > Date.now() / 1000 && aud === 'app'
      return { status: isGood && ses.userInfo?.role === 'tester' ? 302 : 401, headers: ['Location', '/elsewhere'] }
    })
    await folder.write('config/sessiongate.yaml', configFor(app.origin))
    const asked = `--verify-upstream ${app.origin}/x`
    const wrong = await doctor(folder, asked)
    assert.equal(wrong.code, 1)
    assert.deepEqual(wrong.texts('fault'), ['valid: refused (401)'])
    const right = await doctor(folder, `${asked} --expect-status 302 --session '{"userInfo":{"role":"tester"}}'`)
    assert.deepEqual([right.code, right.texts('fault')], [0, []])
    assert.deepEqual(app.requests[0]?.values('Host'), ['app.example.com'], 'as the gateway sends it')
  })

  test('without a key, or with two apps that could be meant, it says what to name', async () => {
    await using folder = await openCommandFolder(commandConfig)
    const cases: [args: string, code: number, says: RegExp][] = [
      ['--verify-upstream http://127.0.0.1:9/', 1, /var\/signing-key is not there \(ENOENT\)/],
      ['--verify-upstream ftp://x', 2, /takes the address of a page/],
      ['--verify-upstream http://127.0.0.1:9/ --upstream shop', 2, /no upstream is called shop; .*: app/],
      ['--verify-upstream http://127.0.0.1:9/ --key x', 2, /names no keys/],
      ['--verify-upstream http://127.0.0.1:9/ --expect-status ok', 2, /are written as 2xx/],
    ]
    for (const [args, code, says] of cases) {
      const result = await folder.run(`sessiongate doctor ${args}`)
      assert.equal(result.code, code, args)
      assert.match(result.stderr, says)
    }
    await folder.run('sessiongate keys derive --upstream app')
    const gone = await doctor(folder, '--verify-upstream http://127.0.0.1:9/')
    assert.deepEqual([gone.code, gone.texts('fault')[0]], [1, 'valid: no answer (ECONNREFUSED)'])
  })
})

/** A server that is none of HTTP. */
async function startServer(take: (socket: Socket) => void): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    take(socket.on('error', () => {}))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
