/**
 * 200,000 streams of requests with mistakes in them, each on a connection of its own and with a request behind it, through
 * the gateway to nginx, Apache, HAProxy and Node. What the gateway takes for a request must be what arrives behind these
 * servers: as many, with the same methods, paths and bodies, each answered to whom it came from.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { until } from '../../support/deadline.ts'
import { type LogLine, startGateway } from '../../support/gateway.ts'
import { originNames, startOrigin } from '../../support/origins.ts'
import { createRandom, type Random } from '../../support/random.ts'
import { requireServer } from '../../support/requirement.ts'
import { normalForm } from './path-readers.ts'
import { mutated } from './stream-mutations.ts'
import { chosenSeed, counted, share, type Tally } from './tally.ts'

const seed = chosenSeed()

const routes = `
login: { url: https://login.test/ }
routes:
  - { id: guarded, match: { path: /guarded/* }, upstream: app, auth: required }
  - { id: small, match: { path: /small/* }, upstream: app, limits: { body: 3 } }
  - { id: app, match: { path: /* }, upstream: app, session: none }
`

/** Sound requests; `#` is the number of the stream. */
const sound = (host: string): string[] => {
  const own = `Host: ${host}\r\nN: #\r\n`
  const inner = `GET /inner/# HTTP/1.1\r\n${own}\r\n`
  const long = inner.length
  return [
    `GET /get/# HTTP/1.1\r\n${own}\r\n`,
    `HEAD /head/# HTTP/1.1\r\n${own}\r\n`,
    `POST /post/# HTTP/1.1\r\n${own}Content-Length: 5\r\n\r\nhello`,
    `POST /inner/length/# HTTP/1.1\r\n${own}Content-Length: ${long}\r\n\r\n${inner}`,
    `PUT /chunks/# HTTP/1.1\r\n${own}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n`,
    `PUT /inner/chunks/# HTTP/1.1\r\n${own}Transfer-Encoding: chunked\r\n\r\n${long.toString(16)}\r\n${inner}\r\n0\r\nT: 1\r\n\r\n`,
    `POST /expect/# HTTP/1.1\r\n${own}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello`,
    `POST /early/# HTTP/1.1\r\n${own}Content-Length: 5\r\n\r\nhello`,
    `POST /guarded/# HTTP/1.1\r\n${own}Content-Length: ${long}\r\n\r\n${inner}`,
    `POST /guarded/lines/# HTTP/1.1\r\n${own}${'A: b\r\n'.repeat(40)}Content-Length: 4\r\n\r\nbody`,
    `PUT /small/# HTTP/1.1\r\n${own}Transfer-Encoding: chunked\r\n\r\n${long.toString(16)}\r\n${inner}\r\n0\r\n\r\n`,
    `OPTIONS /options/# HTTP/1.1\r\n${own}Content-Length: 0\r\n\r\n`,
    `DELETE http://${host}/absolute/# HTTP/1.1\r\n${own}\r\n`,
    `GET /old/# HTTP/1.0\r\n${own}Connection: keep-alive\r\n\r\n`,
    `GET /socket/# HTTP/1.1\r\n${own}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  ]
}

function streamOf(number: number, { host, random }: { host: string; random: Random }): string {
  const { pick, below } = random
  let text = Array.from({ length: 1 + below(3) }, () => pick(sound(host))).join('')
  for (let i = below(4); i > 0; i -= 1) text = mutated(text, random)
  return `${text}GET /follow/# HTTP/1.1\r\nHost: ${host}\r\nN: #\r\n\r\n`.replaceAll('#', String(number))
}

/** A request as the app has seen it. */
interface Sight {
  readonly method: string
  readonly path: string
  readonly number: string
  bodyBytes: number
  isWhole: boolean
  times: number
}

class Ledger {
  readonly sights = new Map<string, Sight>()
  readonly lines = new Map<string, LogLine>()

  arrived(request: IncomingMessage): string {
    const { method = '', url = '', headers } = request
    const id = String(headers['x-request-id'])
    const known = this.sights.get(id)
    if (known !== undefined) known.times += 1
    const [path = ''] = url.split('?', 1)
    const number = /\d+/.exec(url)?.[0] ?? String(headers.n)
    const sight: Sight = known ?? { method, path, number, bodyBytes: 0, isWhole: false, times: 1 }
    this.sights.set(id, sight)
    request.on('data', (chunk: Buffer) => {
      sight.bodyBytes += chunk.length
    })
    request.on('end', () => {
      sight.isWhole = true
    })
    return id
  }

  /** What the log tells of has arrived as often as it says, and nothing else has. */
  compare(tally: Tally): void {
    for (const [id, sight] of this.sights) {
      const line = this.lines.get(id)
      const differs = line === undefined ? 'the gateway knows nothing of it' : difference(sight, line)
      if (differs !== undefined) tally.broken(`${differs}: ${JSON.stringify(sight)} and ${JSON.stringify(line)}`)
    }
    for (const [id, line] of this.lines) {
      if (line['upstream.status'] !== 200 || this.sights.has(id)) continue
      tally.broken(`answered, and never arrived: ${JSON.stringify(line)}`)
    }
  }
}

function difference(sight: Sight, line: LogLine): string | undefined {
  if (sight.times > 1) return `it came ${sight.times} times`
  if (sight.method !== line['http.request.method']) return 'another method'
  if (normalForm(sight.path) !== line['url.path']) return 'another path'
  const isOver = line['upstream.status'] === 200 && line.outcome === 'forwarded'
  if (isOver && sight.isWhole && sight.bodyBytes !== line['http.request.body.size']) return 'another body'
  return undefined
}

/** Sends a stream and its FIN, in one piece or two, and gives back what came. */
function converse(port: number, stream: string, cut: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  let came = ''
  socket.setEncoding('latin1').on('data', (text: unknown) => {
    came += String(text)
  })
  socket.on('error', () => undefined).on('end', () => socket.destroy())
  socket.on('close', () => resolve(came))
  socket.setTimeout(20_000, () => {
    came += 'NEVER ENDED'
    socket.destroy()
  })
  if (cut === 0) socket.end(stream, 'latin1')
  else {
    socket.write(stream.slice(0, cut), 'latin1', () => setImmediate(() => socket.end(stream.slice(cut), 'latin1')))
  }
  return promise
}

async function attack(t: TestContext, { name, tally }: { name: string; tally: Tally }): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const ledger = new Ledger()
  const server = createServer((request, response) => {
    const id = ledger.arrived(request)
    const answer = (): void => void response.writeHead(200, ['X-Seen', id, 'Content-Length', '2']).end('ok')
    if (request.url?.startsWith('/early/') === true) answer()
    else request.on('end', answer)
    request.resume().on('error', () => undefined)
  })
  server.on('upgrade', (request, socket) => {
    ledger.arrived(request)
    socket.on('error', () => undefined).end('HTTP/1.1 426 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const isOrigin = (text: string): text is (typeof originNames)[number] => originNames.some((known) => known === text)
  const origin = isOrigin(name) ? stack.use(await startOrigin(name, port)).origin : `http://127.0.0.1:${port}`
  const gateway = stack.use(
    await startGateway({
      config: `admin: off\nupstreams: { app: { servers: ["${origin}"], retries: 0, timeouts: { first_byte: 10s, idle: 10s } } }\n${routes}`,
      onRequestLine: (line) => void ledger.lines.set(String(line['request.id']), line),
    }),
  )
  const count = share(200_000) / 4
  const random = createRandom(seed)
  const told = { answers: 0, refusals: 0, streams: 0 }
  let number = 0
  async function lane(): Promise<void> {
    while (number < count) {
      number += 1
      const own = String(number)
      const stream = streamOf(number, { host: 'app.test', random })
      const came = await converse(gateway.port, stream, random.chance(0.3) ? random.below(stream.length) : 0)
      told.streams += 1
      tally.looks += 1
      if (/^HTTP\/1\.1 [45]/m.test(came)) told.refusals += 1
      if (came.includes('NEVER ENDED')) tally.broken(`the connection never ended: ${JSON.stringify(stream)}`)
      for (const [, id = ''] of came.matchAll(/^x-seen: (\S+)\r$/gim)) {
        told.answers += 1
        // A number may itself have been mutated; what came behind the mistake must be our own.
        const sight = ledger.sights.get(id)
        const isOwn = sight !== undefined && (stream.includes(sight.path) || sight.number === own)
        if (!isOwn) tally.broken(`${JSON.stringify(stream)} was answered with ${JSON.stringify(sight)}`)
      }
    }
  }
  await Promise.all(Array.from({ length: 16 }, lane))
  assert.equal(gateway.process.exitCode, null, gateway.stderr().slice(-3000))
  await until(
    'the log tells of every request',
    () => [...ledger.sights.keys()].every((id) => ledger.lines.has(id)),
    5000,
  ).catch(() => undefined)
  ledger.compare(tally)
  t.diagnostic(
    `${name}: ${told.streams} streams, ${ledger.sights.size} requests at the app, ${told.answers} answers, ${told.refusals} streams with a refusal`,
  )
  assert.doesNotMatch(gateway.stderr(), /^\s+at |Uncaught|Unhandled/m)
  assert.ok(told.answers > count / 10 && told.refusals > count / 10)
}

for (const name of ['Node', ...originNames]) {
  const skip = name === 'Node' ? false : requireServer(name as (typeof originNames)[number]).skip
  test(`what the gateway takes for a request is what arrives behind ${name}`, { skip }, (t) =>
    counted(t, { promise: `disagreements about requests with ${name}`, unit: 'streams', seed }, (tally) =>
      attack(t, { name, tally }),
    ),
  )
}
