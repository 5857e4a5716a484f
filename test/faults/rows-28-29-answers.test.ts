import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { until, within } from '../support/deadline.ts'
import { type EvilUpstream, startEvil } from '../support/evil-upstream.ts'
import { createRandom } from '../support/random.ts'
import { answerOf, byPath, type FaultGate, openGate, pause, times } from './stage.ts'

const MIB = 1024 * 1024

/** Lines of an answer that may not be passed on, and what the gateway says instead. */
const badLines: [why: string, lines: string, error: string][] = [
  ['a header of 100 KiB', `X-Large: ${'l'.repeat(100 * 1024)}\r\n`, 'http_response_header_section_size'],
  ['ten thousand headers', 'X-Many: 1234567890\r\n'.repeat(10_000), 'http_response_header_section_size'],
  ['two lengths', 'Content-Length: 3\r\n', 'http_protocol_error'],
  ['a length and chunks', 'Transfer-Encoding: chunked\r\n', 'http_protocol_error'],
  ['a coding that nobody asked for', 'Transfer-Encoding: gzip\r\n', 'http_protocol_error'],
  ['a NUL in a value', 'X-Bad: a\0b\r\n', 'http_protocol_error'],
  ['a bare CR in a value', 'X-Bad: a\rSet-Cookie: sessionid=x\r\n', 'http_protocol_error'],
  ['a space before the colon', 'X-Bad : a\r\n', 'http_protocol_error'],
  ['a line without a colon', 'nonsense\r\n', 'http_protocol_error'],
]

/** Commands that cannot be obeyed to the letter; each comes with one that could. */
const badCommands: [why: string, lines: string][] = [
  ['text that is no JSON', 'X-Session-Set: {"a":1\r\n'],
  ['no object', 'X-Session-Set: [1]\r\n'],
  ['one key twice', 'X-Session-Set: {"a":1,"a":2}\r\n'],
  ['an unknown word', 'X-Session-Command: destroy\r\n'],
  ['an expiry that is none', 'X-Session-Expiry: soon\r\n'],
  ['a list that is none', 'X-Session-Delete: "open\r\n'],
  ['an underscore in its name', 'X_Session_Set: {"b":1}\r\n'],
  ['a reserved key', 'X-Session-Set: {"_gw":1}\r\n'],
  ['more than may be said', `X-Session-Set: {"a":"${'x'.repeat(20_000)}"}\r\n`],
]

describe('row 28: an upstream whose head is not to be passed on', () => {
  const lines = [...badLines, ...badCommands].map(([, text]) => text)
  let upstream: EvilUpstream
  let gate: FaultGate
  before(async () => {
    upstream = await startEvil(
      byPath({
        ...Object.fromEntries(
          lines.map((text, i) => [`bad${i}`, (connection) => connection.send(answerOf('body', text))]),
        ),
        login: (connection) => connection.send(answerOf('in', 'X-Session-Set: {"userInfo":{"id":1}}\r\n')),
        good: (connection, head) => connection.send(answerOf(/x-session-assertion: \S+/i.exec(head)?.[0] ?? 'none')),
      }),
    )
    gate = await openGate(upstream.origin, {
      sections: 'keys: [{ id: test, secret: "0123456789abcdef0123456789abcdef" }]\n',
    })
  })
  after(async () => {
    await gate[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
  })

  for (const [i, [why, , error]] of badLines.entries()) {
    test(`row 28: ${why}: 502, and nothing of it reaches the client`, async () => {
      const answer = await gate.ask(`/bad${i}`)
      assert.deepEqual([answer.status, answer.values('proxy-status')], [502, [`sessiongate; error=${error}`]])
      assert.deepEqual([...answer.values('x-bad'), ...answer.values('set-cookie')], [])
      await gate.assertServes()
    })
  }

  for (const [i, [why]] of badCommands.entries()) {
    test(`row 28: a command with ${why}: 502, none is applied, and the log says so`, async () => {
      const login = await gate.ask('/login')
      const cookie = (login.values('set-cookie')[0] ?? '').split(';')[0]
      const session = async (): Promise<unknown> => {
        const said = (await gate.ask('/good', { lines: `Cookie: ${cookie}\r\n` })).body.toString()
        return JSON.parse(Buffer.from(said.split('.')[1] ?? '', 'base64url').toString()).ses
      }
      const logged = gate.gateway.log.length
      const path = `/bad${badLines.length + i}`
      const answer = await gate.ask(path, { lines: `Cookie: ${cookie}\r\n` })
      assert.equal(answer.status, 502)
      assert.deepEqual(answer.values('set-cookie'), [])
      assert.deepEqual(await session(), { userInfo: { id: 1 } })
      await until('the log says so', () =>
        gate.gateway.log.slice(logged).some((line) => line['error.type'] === 'ERR_WRITEBACK_REFUSED'),
      )
    })
  }
})

/** A whole answer with a command in it, of which a few bytes of the head are lost, doubled or replaced. */
function mutant(command: string, random: () => number): Buffer {
  const head = `HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n${command}\r\n`
  const bytes = [...Buffer.from(head)]
  for (let changes = 1 + Math.floor(random() * 3); changes > 0; changes--) {
    const at = Math.floor(random() * bytes.length)
    const kind = Math.floor(random() * 4)
    const [now = 0] = bytes.slice(at)
    const some = Math.floor(random() * 256)
    const telling = [0, 9, 10, 13, 32, 34, 44, 58, 123, 125][Math.floor(random() * 10)] ?? 0
    bytes.splice(at, 1, ...([[], [now, now], [some], [telling]][kind] ?? []))
  }
  return Buffer.concat([Buffer.from(bytes), Buffer.from('body')])
}

describe('row 28: an upstream whose head is damaged by chance', () => {
  test('row 28: what is refused has changed nothing, what is passed on holds no command, and the next has its own answer', async (t) => {
    const seed = Number(process.env.SESSIONGATE_SEED ?? Date.now() % 1_000_000)
    const random = createRandom(seed).fraction
    let round = 0
    const mutants: Buffer[] = []
    await using upstream = await startEvil(
      byPath({
        login: (connection) => connection.send(answerOf('in', 'X-Session-Set: {"userInfo":{"id":1}}\r\n')),
        mutant: (connection) => connection.send(mutants.at(-1) ?? ''),
        good: (connection, head) => connection.send(answerOf(/x-session-assertion: \S+/i.exec(head)?.[0] ?? 'none')),
      }),
    )
    // A length that has grown is waited for: not long.
    await using gate = await openGate(upstream.origin, {
      timeouts: 'connect: 5s, first_byte: 200ms, idle: 200ms',
      sections: 'keys: [{ id: test, secret: "0123456789abcdef0123456789abcdef" }]\n',
    })
    const cookie = (await gate.ask('/login')).values('set-cookie')[0]?.split(';')[0]
    const session = async (): Promise<unknown> => {
      const { status, body } = await gate.ask('/good', { lines: `Cookie: ${cookie}\r\n` })
      assert.equal(status, 200)
      return JSON.parse(Buffer.from(body.toString().split('.')[1] ?? '', 'base64url').toString()).ses
    }
    let before = await session()
    let refused = 0
    for (; round < times({ usual: 150, whole: 5_000 }); round++) {
      mutants.push(
        mutant(`X-Session-Set: {"n":${round},"text":"a b"}\r\nX-Session-Delete: gone, "odd key"\r\n`, random),
      )
      const answer = await gate.ask('/mutant', { lines: `Cookie: ${cookie}\r\n` })
      const now = await session()
      const what = `seed ${seed}, ${round}: ${JSON.stringify(mutants.at(-1)?.toString('latin1'))}: ${answer.status}`
      if (answer.status >= 500) {
        refused += 1
        assert.deepEqual(now, before, what)
        assert.deepEqual(answer.values('set-cookie'), [], what)
      }
      const names = answer.rawHeaders.filter((_, i) => i % 2 === 0)
      assert.deepEqual(
        names.filter((name) => /^x[^a-z0-9]session[^a-z0-9]/i.test(name)),
        [],
        what,
      )
      before = now
    }
    t.diagnostic(`seed ${seed}: ${refused} of ${round} refused`)
    assert.ok(refused > 0 && refused < round)
    await gate.assertServes()
  })
})

describe('row 29: an upstream that answers before it has read the request', () => {
  const uploadBytes = times({ usual: 8, whole: 64 }) * MIB
  let upstream: EvilUpstream
  let gate: FaultGate
  before(async () => {
    const refusal = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large'
    upstream = await startEvil(
      byPath({
        async whole(connection) {
          connection.socket.pause()
          await connection.send(refusal)
        },
        async pieces(connection) {
          connection.socket.pause()
          await connection.send('HTTP/1.1 413 Content Too Large\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntoo \r\n')
          await pause(50)
          await connection.send('5\r\nlarge\r\n0\r\n\r\n')
        },
        async closes(connection) {
          await connection.send(refusal)
          connection.end()
        },
        ok: (connection) => connection.send(answerOf('ok')),
      }),
    )
    gate = await openGate(upstream.origin)
  })
  after(async () => {
    await gate[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
  })

  for (const [why, path] of [
    ['in one piece', '/whole'],
    ['in several', '/pieces'],
    ['and closes', '/closes'],
  ] as const) {
    for (const framing of ['with a length', 'chunked'] as const) {
      test(`row 29: ${why}, to an upload ${framing}: the answer is delivered, and the connection ends`, async () => {
        const openFiles = gate.openFiles()
        await using client = await gate.connect()
        const isChunked = framing === 'chunked'
        const header = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${uploadBytes}`
        await client.send(`POST ${path} HTTP/1.1\r\nHost: x\r\n${header}\r\n\r\n`)
        const block = Buffer.alloc(64 * 1024, 'u')
        const piece = isChunked ? Buffer.concat([Buffer.from('10000\r\n'), block, Buffer.from('\r\n')]) : block
        let isOver = false
        const sending = (async () => {
          for (let sent = 0; sent < uploadBytes && !isOver; sent += block.length) await client.send(piece)
        })().catch(() => undefined)
        const answer = await client.response()
        assert.deepEqual([answer.status, answer.body.toString()], [413, 'too large'])
        assert.deepEqual(answer.values('connection'), ['close'])
        // Sooner than the gateway gives up on what it does not read.
        await within('the connection to end', client.closed, 1_800)
        isOver = true
        await sending
        const next = await gate.ask('/ok')
        assert.equal(next.body.toString(), 'ok')
        await gate.untilQuiet(openFiles + 4)
      })
    }
  }

  test('row 29: a client that reads only when it has sent all of a small upload gets the answer', async () => {
    await using client = await gate.connect()
    const bytes = 512 * 1024
    await client.send(`POST /whole HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n`)
    client.pause()
    for (let sent = 0; sent < bytes; sent += 64 * 1024) {
      await client.send(Buffer.alloc(64 * 1024, 'u'))
      await pause(20)
    }
    client.resume()
    const answer = await client.response()
    assert.deepEqual([answer.status, answer.body.toString()], [413, 'too large'])
  })
})
