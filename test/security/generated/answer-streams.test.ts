/**
 * 100,000 answers of an app with mistakes in them, to many clients at once over shared connections. Each request carries a
 * word that its answer repeats in head, body and whatever stands behind it; nobody may be given the word of another.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { startGateway } from '../../support/gateway.ts'
import { type PipelinedAnswer, sendAll } from '../../support/pipelining-client.ts'
import { createRandom, type Random } from '../../support/random.ts'
import { mutated } from './stream-mutations.ts'
import { chosenSeed, counted, share, type Tally } from './tally.ts'

const seed = chosenSeed()

/** An app waits that long for another request, and then closes: what it left undone is not waited for. */
const APP_PATIENCE_MS = 30

/** Sound answers; `#` is the word. */
const sound: readonly string[] = [
  'HTTP/1.1 200 OK\r\nX-Word: #\r\nContent-Length: 20\r\n\r\n####################',
  'HTTP/1.1 200 OK\r\nX-Word: #\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n#####\r\n3;a=b\r\n###\r\n0\r\nX-Trailer: #\r\n\r\n',
  'HTTP/1.1 200 OK\r\nX-Word: #\r\nConnection: close\r\n\r\n####',
  'HTTP/1.0 200 OK\r\nX-Word: #\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\n####',
  'HTTP/1.1 204 No Content\r\nX-Word: #\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nX-Word: #\r\nContent-Length: 100\r\n\r\n',
  'HTTP/1.1 302 Found\r\nLocation: /#\r\nContent-Length: 1\r\n\r\n#',
  'HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\n###',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n##',
  'HTTP/1.1 103 Early Hints\r\nLink: </#>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n##',
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n####',
  'HTTP/1.1 200 OK\r\nX-Session-Set: {"word":"#"}\r\nContent-Length: 1\r\n\r\n#',
  'HTTP/1.1 200 OK\r\nSet-Cookie: a=#\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n###',
]

/** What stands behind an answer that has ended; to the next request it would look like its answer. */
const surplus = [
  '',
  '',
  '',
  '#',
  '\r\n',
  'HTTP/1.1 200 OK\r\nX-Word: #\r\nContent-Length: 5\r\n\r\n#####',
  '0\r\n\r\n#',
  ' '.repeat(70_000),
]

interface Case {
  readonly bytes: string
  readonly method: string
  readonly word: string
}

function* cases(count: number, { pick }: Random): Generator<Case> {
  for (let number = 0; number < count; number += 1) {
    const word = `<w${number}>`
    const method = pick(['GET', 'GET', 'GET', 'HEAD', 'POST'])
    const body = method === 'POST' ? 'Content-Length: 3\r\n\r\nabc' : '\r\n'
    yield {
      bytes: `${method} /${pick(['', 'plain/'])} HTTP/1.1\r\nHost: app.test\r\nWord: ${word}\r\n${body}`,
      method,
      word,
    }
  }
}

/** Answers each request with one of the sound answers, made unsound, and often with more than that. */
function answerBadly(socket: Socket): void {
  let received = ''
  socket.setEncoding('latin1').setTimeout(APP_PATIENCE_MS, () => socket.destroy())
  socket.on('error', () => undefined)
  socket.on('data', (text: unknown) => {
    received += String(text)
    for (let end = received.indexOf('\r\n\r\n'); end >= 0; end = received.indexOf('\r\n\r\n')) {
      const word = /^word: (\S+)\r$/im.exec(received.slice(0, end + 2))?.[1] ?? 'none'
      received = received.slice(end + 4)
      // Each request has a chance of its own, whatever the order in which they come.
      const random = createRandom(seed + Number(word.replace(/\D/g, '')))
      let answer = random.pick(sound)
      for (let i = random.below(4); i > 0; i -= 1) answer = mutated(answer, random)
      const late = random.pick(surplus)
      const [now, then] = [answer, late].map((part) => part.replaceAll('#', word)) as [string, string]
      // A whole answer that nobody asked for comes with the one before it. One that comes when the next request is on its
      // way is that request's answer, as far as HTTP/1.1 goes, and no test can tell them apart either.
      if (late.startsWith('HTTP/') || random.chance(0.2)) socket.write(now + then, 'latin1')
      else {
        socket.write(now, 'latin1')
        if (then !== '') setImmediate(() => socket.destroyed || socket.write(then, 'latin1'))
      }
      if (random.chance(0.1)) setImmediate(() => (random.chance(0.5) ? socket.end() : socket.resetAndDestroy()))
    }
  })
}

function wordsIn(answer: PipelinedAnswer): string[] {
  return [...new Set(`${answer.head}${answer.body}`.match(/<w\d+>/g))]
}

async function attack(t: TestContext, tally: Tally): Promise<void> {
  const server = createServer({ noDelay: true }, answerBadly)
  using closing = new DisposableStack()
  closing.defer(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await using gateway = await startGateway({
    config: `
admin: off
upstreams: { app: { servers: ["http://127.0.0.1:${port}"], writeback: { allow: ["*"] }, timeouts: { first_byte: 2s, idle: 2s } } }
routes:
  - { id: plain, match: { path: /plain/* }, upstream: app, session: none }
  - { id: app, match: { path: /* }, upstream: app }
`,
    onRequestLine: () => undefined,
  })
  const count = share(100_000)
  const statuses = new Map<number, number>()
  const note = ({ word }: Case, answer: PipelinedAnswer | undefined): void => {
    const words = answer === undefined ? [] : wordsIn(answer)
    tally.look(
      words.every((one) => one === word),
      () => `${word} was given ${words}: ${JSON.stringify(answer).slice(0, 600)}`,
    )
    statuses.set(answer?.status ?? 0, (statuses.get(answer?.status ?? 0) ?? 0) + 1)
  }
  await sendAll(gateway.port, cases(count, createRandom(seed)), note, { connections: 16, depth: 1 })
  const told = [...statuses].sort(([a], [b]) => a - b).map(([status, times]) => `${status}: ${times}`)
  t.diagnostic(told.join(', '))
  assert.equal(gateway.process.exitCode, null, gateway.stderr().slice(-3000))
  assert.doesNotMatch(gateway.stderr(), /^\s+at |Uncaught|Unhandled/m)
  assert.ok((statuses.get(200) ?? 0) > count / 10 && (statuses.get(502) ?? 0) > count / 10)
}

test('whatever an app answers, nobody is given what was for another', (t) =>
  counted(t, { promise: 'answers with bytes of another client', unit: 'answers', seed }, (tally) => attack(t, tally)))
