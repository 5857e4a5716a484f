import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { openConfig, openFakeGateway, openFakeServer, runCommandLine, TOKEN } from './command-run.ts'

const overview = { version: '9.9.9', ready: true }
const answers = { 'GET /api/overview': overview }

describe('the token', () => {
  test('comes from the environment, from a file, or from stdin', async () => {
    await using gateway = await openFakeGateway(answers)
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-token-'))
    const file = join(folder, 'token')
    await writeFile(file, `${TOKEN}\n`)
    const none = { SESSIONGATE_ADMIN_TOKEN: '' }
    const ways = [
      { args: [] },
      { args: ['--token-file', file], env: { SESSIONGATE_ADMIN_TOKEN: 'another-token-of-this-test' } },
      { args: ['--token-file', '-'], stdin: ` ${TOKEN}\n`, env: none },
    ]
    for (const { args, ...options } of ways) {
      const { code, stdout, stderr } = await gateway.run(['status', '--json', ...args], options)
      assert.deepEqual([code, stdout, stderr], [0, `${JSON.stringify(overview)}\n`, ''])
    }
    await rm(folder, { recursive: true })
  })

  const unusable = [
    {
      why: 'none',
      args: [],
      env: { SESSIONGATE_ADMIN_TOKEN: '' },
      says: /wants a token: put it into SESSIONGATE_ADMIN_TOKEN/,
    },
    { why: 'an empty one', args: ['--token-file', '-'], stdin: '\n', says: /stdin holds no token/ },
    {
      why: 'a file that is not there',
      args: ['--token-file', '/nowhere'],
      says: /\/nowhere cannot be read \(ENOENT\)/,
    },
    {
      why: 'two lines',
      args: ['--token-file', '-'],
      stdin: 'se\r\ncret: x',
      says: /stdin holds no token: those have letters/,
    },
  ]
  for (const { why, args, says, ...options } of unusable) {
    test(`cannot be ${why}: 2, and it is not shown`, async () => {
      await using gateway = await openFakeGateway(answers)
      const { code, stdout, stderr } = await gateway.run(['status', ...args], options)
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, says)
      assert.doesNotMatch(stderr, /cret/)
      assert.deepEqual(gateway.asked, [])
    })
  }

  test('that is another is refused, and nothing is shown of it', async () => {
    await using gateway = await openFakeGateway(answers)
    const wrong = 'a-wrong-token-of-these-tests'
    const { code, stdout, stderr } = await gateway.run(['status'], { env: { SESSIONGATE_ADMIN_TOKEN: wrong } })
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /does not take this token: it wants the admin.token of the configuration/)
    assert.ok(!stderr.includes(wrong))
  })

  test('is told to go unencrypted to another machine, and not to this one', async () => {
    const env = { SESSIONGATE_ADMIN_TOKEN: TOKEN }
    for (const [url, isTold] of [
      ['http://gateway.invalid:1', true],
      ['https://gateway.invalid:1', false],
      ['http://127.0.0.1:1', false],
      ['http://localhost:1', false],
      ['http://[::1]:1', false],
      ['unix:/nowhere', false],
    ] as const) {
      const { code, stderr } = await runCommandLine(['status', '--url', url], { env })
      assert.deepEqual([code, /goes to \S+ unencrypted/.test(stderr)], [1, isTold], `${url}: ${stderr}`)
    }
  })
})

describe('the address', () => {
  const wrong: readonly [url: string, says: RegExp][] = [
    ['127.0.0.1:9901', /--url is an address such as http:/],
    ['ftp://127.0.0.1', /--url is an address such as http:/],
    ['', /--url is an address such as http:/],
    ['http://admin:hunter2@127.0.0.1:1', /--url holds a password/],
    ['http://127.0.0.1:1/?token=hunter2', /--url ends before/],
  ]
  for (const [url, says] of wrong) {
    test(`cannot be ${JSON.stringify(url)}`, async () => {
      const { code, stderr } = await runCommandLine(['status', '--url', url], {
        env: { SESSIONGATE_ADMIN_TOKEN: TOKEN },
      })
      assert.equal(code, 2)
      assert.match(stderr, says)
      assert.doesNotMatch(stderr, /hunter2/)
    })
  }

  test('and the token are those of the configuration', async () => {
    await using gateway = await openFakeGateway(answers)
    await using config = await openConfig(`{ listen: "127.0.0.1:${gateway.port}", token: ${TOKEN} }`)
    const { code, stdout } = await runCommandLine(['status', '--json', '--config', config.path])
    assert.deepEqual([code, stdout], [0, `${JSON.stringify(overview)}\n`])
  })

  const configurations = [
    { admin: 'off', code: 2, says: /admin is off in .*any.yaml: say with --url/ },
    { admin: `{ listen: "127.0.0.1:0", token: ${TOKEN} }`, code: 2, says: /leaves the port to the system/ },
    {
      admin: '{ listen: "127.0.0.1:1" }',
      code: 2,
      says: /names no admin.token, .*add\n {2}admin: \{ token: "\$\{file/,
    },
    {
      admin: `{ listen: "127.0.0.1:1", token: ${TOKEN} }`,
      code: 1,
      says: /no gateway answers at http:\/\/127.0.0.1:1 \(ECONNREFUSED\): start it/,
    },
    { admin: `{ listen: "0.0.0.0:1", token: ${TOKEN} }`, code: 1, says: /no gateway answers at http:\/\/127.0.0.1:1 / },
    { admin: `{ listen: "[::1]:1", token: ${TOKEN} }`, code: 1, says: /at http:\/\/\[::1\]:1/ },
    {
      admin: `{ listen: "unix:/nowhere/x", token: ${TOKEN} }`,
      code: 1,
      says: /no gateway answers at unix:\/nowhere\/x \(ENOENT\)/,
    },
    { admin: '{ token: short }', code: 78, says: /at least 24 characters/ },
  ]
  for (const { admin, code, says } of configurations) {
    test(`of admin: ${admin} ends with ${code}`, async () => {
      await using config = await openConfig(admin)
      const ended = await runCommandLine(['status', '--config', config.path])
      assert.deepEqual([ended.code, ended.stdout], [code, ''])
      assert.match(ended.stderr, says)
    })
  }
})

describe('what answers', () => {
  test('and is older is told by its version', async () => {
    await using gateway = await openFakeGateway(answers)
    const { code, stderr } = await gateway.run(['keys', 'list'])
    assert.equal(code, 1)
    assert.match(stderr, /is of version 0\.0\.9, which has no \/api\/keys: update it/)
  })

  test('and has no token of its own is told so', async () => {
    await using gateway = await openFakeServer(() => (_, response) => {
      response.writeHead(404, { 'content-type': 'text/plain' })
      response.end('there is no /api without admin.token\n')
    })
    const { code, stderr } = await gateway.run(['status'])
    assert.equal(code, 1)
    assert.match(stderr, /has no \/api: its configuration names no admin.token; add one/)
  })

  const strangers = [
    {
      why: 'a page',
      status: 200,
      type: 'text/html',
      body: '<h1>It works',
      says: /is no JSON \(200, text\/html\): admin.listen/,
    },
    { why: 'a lie', status: 200, type: 'application/json', body: '{', says: /is no JSON \(200/ },
    {
      why: 'a page that is missing',
      status: 404,
      type: 'text/html',
      body: '<h1>',
      says: /is no operator’s listener of a gateway/,
    },
    { why: 'somewhere else', status: 302, type: 'text/html', body: '', says: /answers 302/ },
    {
      why: 'another host',
      status: 421,
      type: 'text/plain',
      body: 'this host is not served here\n',
      says: /refuses to answer here: this host is not served/,
    },
    {
      why: 'a failure',
      status: 500,
      type: 'application/problem+json',
      body: '{"detail":"it failed\\u001b[2J"}',
      says: /answers 500: it failed\\u001b\[2J/,
    },
    {
      why: 'a refusal',
      status: 409,
      type: 'application/problem+json',
      body: '{"detail":"because"}',
      says: /^sessiongate: because\n$/,
    },
    {
      why: 'a refusal that does not end',
      status: 409,
      type: 'application/problem+json',
      body: JSON.stringify({ detail: 'x'.repeat(1_000_000) }),
      says: /^sessiongate: x{4000}\n$/,
    },
    {
      why: 'something else',
      status: 200,
      type: 'application/json',
      body: '7',
      says: /answers what this version does not know; --json shows it/,
    },
  ]
  for (const { why, status, type, body, says } of strangers) {
    test(`and is ${why} ends with 1`, async () => {
      await using server = await openFakeServer(() => (_, response) => {
        response.writeHead(status, { 'content-type': type, location: 'http://127.0.0.1:9/' })
        response.end(body)
      })
      const { code, stdout, stderr } = await server.run(['status'])
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(stderr, says)
    })
  }

  test('and closes the connection, or is no HTTP, ends with 1', async () => {
    for (const said of ['', 'SSH-2.0-OpenSSH\r\n']) {
      const server = createServer((socket) => socket.on('error', () => undefined).end(said)).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const address = server.address()
      const port = typeof address === 'object' ? address?.port : undefined
      const env = { SESSIONGATE_ADMIN_TOKEN: TOKEN }
      const { code, stderr } = await runCommandLine(['status', '--url', `http://127.0.0.1:${port}`], { env })
      assert.equal(code, 1)
      assert.match(stderr, said === '' ? /has closed the connection/ : /^sessiongate: asking http:\S+ failed: /)
      server.close()
    }
  })
})
