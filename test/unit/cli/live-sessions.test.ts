import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openFakeGateway, openFakeServer } from './command-run.ts'

const id = '0mHNQ3bYw5Yl5tqcKQ8y0g'

describe('sessions of the gateway', () => {
  const session = (n: number) => ({ id: `${n}`.padStart(22, 'x'), user: `${n}`, expires_at: null, names: ['cart'] })
  const page = (from: number, count: number, next: string | null) => ({
    sessions: [...Array(count).keys()].map((at) => session(from + at)),
    next,
    is_whole: true,
  })
  const answers = {
    'GET /api/sessions?limit=2': page(1, 2, 'c1'),
    'GET /api/sessions?limit=100': page(1, 3, null),
    'GET /api/sessions?limit=1000': page(1, 1000, 'c2'),
    'GET /api/sessions?cursor=c1&limit=2': page(3, 1, null),
    'GET /api/sessions?cursor=c2&limit=1000': page(1001, 200, null),
    'GET /api/sessions?cursor=c2&limit=500': page(1001, 200, null),
    'GET /api/sessions?user=7&limit=100': { ...page(7, 1, null), is_whole: false },
    'GET /api/sessions?key=a.b&value=%22ops%22&limit=100': page(8, 1, null),
    'GET /api/sessions?key=a.b&value=7&limit=100': { ...page(9, 0, null), is_whole: false },
  }

  test('are listed page by page, as many as are asked for', async () => {
    await using gateway = await openFakeGateway(answers)
    const list = async (...args: string[]) => {
      const { code, stdout, stderr } = await gateway.run(['sessions', 'list', ...args])
      assert.equal(code, 0, stderr)
      return { count: stdout.trimEnd().split('\n').length - 1, stderr }
    }
    assert.deepEqual(await list(), { count: 3, stderr: '' })
    const first = await list('--limit', '2')
    assert.equal(first.count, 2)
    assert.match(first.stderr, /^there are more: --all shows them, and for a minute --cursor c1 goes on\n$/)
    assert.deepEqual(await list('--limit', '2', '--cursor', 'c1'), { count: 1, stderr: '' })
    assert.deepEqual(await list('--all'), { count: 1200, stderr: '' })
    assert.deepEqual(await list('--limit', '1500'), { count: 1200, stderr: '' })
    const { stdout } = await gateway.run(['sessions', 'list', '--all', '--json'])
    const all = JSON.parse(stdout)
    assert.deepEqual([all.sessions.length, all.next, all.is_whole], [1200, null, true])
  })

  test('are found by user and by value, and it is said where that may not be all', async () => {
    await using gateway = await openFakeGateway(answers)
    const found = async (...args: string[]) => {
      const { stdout, stderr } = await gateway.run(['sessions', 'list', ...args])
      return [/x(\d) /.exec(stdout)?.[1], stderr]
    }
    assert.deepEqual(await found('--user', '7'), ['7', ''])
    assert.deepEqual(await found('--key', 'a.b', '--value', 'ops'), ['8', ''])
    assert.deepEqual(await found('--key', 'a.b', '--value', '"ops"'), ['8', ''])
    const [none, told] = await found('--key', 'a.b', '--value', '7')
    assert.equal(none, undefined)
    assert.match(told ?? '', /there may be more: the store cannot tell all/)
  })

  const wrong: readonly [args: readonly string[], says: RegExp][] = [
    [['list', '--key', 'a'], /--key and --value go together/],
    [['list', '--value', '1'], /--key and --value go together/],
    [['list', '--user', '1', '--key', 'a', '--value', '1'], /either --user, or --key and --value/],
    [['list', '--key', 'a', '--value', '1152921504606846977'], /would reach the gateway as another/],
    [['list', '--show-keys'], /a gateway tells no session keys/],
    [['list', '--all', '--limit', '5'], /cannot be used with/],
    [['revoke'], /name the public ids of sessions, or a user/],
    [['revoke', id, '--user', '7'], /name the public ids of sessions, or a user/],
  ]
  for (const [args, says] of wrong) {
    test(`are not asked for by ${args.join(' ')}`, async () => {
      await using gateway = await openFakeGateway(answers)
      const { code, stderr } = await gateway.run(['sessions', ...args])
      assert.equal(code, 2)
      assert.match(stderr, says)
      assert.deepEqual(gateway.asked, [])
    })
  }

  test('are ended by public id, a thousand at a time, and who is missing is named', async () => {
    const ids = [...Array(1500).keys()].map((n) => session(n).id)
    let count = 0
    await using gateway = await openFakeServer((asked) => async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const body = JSON.parse(Buffer.concat(chunks).toString())
      asked.push(`${body.ids.length}`)
      count += 1
      const ended = count === 2 ? body.ids.slice(1) : body.ids
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ revoked: ended.length, ids: ended }))
    })
    const { code, stdout, stderr } = await gateway.run(['sessions', 'revoke', ...ids, '--json'])
    assert.deepEqual(gateway.asked, ['1000', '500'])
    assert.deepEqual([code, JSON.parse(stdout).revoked], [1, 1499])
    assert.equal(stderr, `sessiongate: no such session: ${ids[1000]}\n`)
  })

  const revocations = [
    { args: ['--user', '7'], body: '{"user":"7"}', none: /no session is of the user "7"/ },
    {
      args: ['--key', 'a.b', '--value', 'ops'],
      body: '{"key":"a.b","value":"ops"}',
      none: /no session is with a\.b = "ops"/,
    },
    {
      args: ['--key', 'a.b', '--value', 'true'],
      body: '{"key":"a.b","value":true}',
      none: /no session is with a\.b = true/,
    },
  ]
  revocations.push({
    args: ['--key', 'a', '--value', '{"b":[1,"é"]}'],
    body: '{"key":"a","value":{"b":[1,"é"]}}',
    none: /no session is with a = \{"b":\[1,"\\u00e9"\]\}/,
  })
  for (const { args, body, none } of revocations) {
    test(`are ended by ${args.join(' ')}`, async () => {
      await using gateway = await openFakeGateway({ 'POST /api/sessions/revoke': { revoked: 2, ids: [id, 'x'] } })
      const { code, stdout, stderr } = await gateway.run(['sessions', 'revoke', ...args])
      assert.deepEqual([code, stdout, stderr], [0, `revoked ${id}\nrevoked x\n`, '2 sessions revoked\n'])
      assert.deepEqual(gateway.asked, [`POST /api/sessions/revoke ${body}`])
      await using empty = await openFakeGateway({ 'POST /api/sessions/revoke': { revoked: 0, ids: [] } })
      const nobody = await empty.run(['sessions', 'revoke', ...args])
      assert.equal(nobody.code, 1)
      assert.match(nobody.stderr, none)
    })
  }
})
