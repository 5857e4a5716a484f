/**
 * The least that an app can do: 250 bytes to everybody, and a login that asks nothing. So what a benchmark sees is the
 * gateway. It verifies nothing: what that costs is the app's, with or without a gateway.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const body = 'x'.repeat(250)
const headers = ['Content-Type', 'text/plain', 'Content-Length', '250']

const server = createServer((request, response) => {
  request.resume()
  const isLogin = request.method === 'POST' && request.url === '/login'
  const commands = isLogin ? ['X-Session-Set', '{"userInfo":{"id":7,"name":"Ada Lovelace"},"lang":"en"}'] : []
  response.writeHead(200, [...headers, ...commands]).end(body)
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ address: `127.0.0.1:${(server.address() as AddressInfo).port}` }))
})
