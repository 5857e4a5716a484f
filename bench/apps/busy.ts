/**
 * An app with as much work as it is asked for: `/busy/5` takes 5 ms, in which nobody else is served; `/size/64` answers
 * with 64 KiB.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const bytes = Buffer.alloc(1024 * 1024, 'x')
let free = Promise.resolve()

function work(durationMs: number, response: ServerResponse): void {
  const turn = free.then(() => new Promise<void>((done) => setTimeout(done, durationMs)))
  free = turn
  // Who has left is still worked for: an app does not notice.
  void turn.then(() => response.end('done'))
}

/** Of sessions: each POST adds one of that many KiB. */
let parts = 0

const server = createServer((request, response) => {
  const [, what, amount] = (request.url ?? '').split('/')
  if (request.method === 'POST') {
    request.resume()
    parts += 1
    const part = 'x'.repeat(Number(amount) * 1024)
    response.setHeader('X-Session-Set', JSON.stringify({ userInfo: { id: 7 }, [`part${parts}`]: part }))
  }
  if (what === 'busy') work(Number(amount), response)
  else response.end(bytes.subarray(0, Number(amount) * 1024))
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` }))
})
