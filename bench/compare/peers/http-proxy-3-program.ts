/** http-proxy-3 as its page shows it, with connections to the app that are kept: `PORT APP-ORIGIN`. */
import { Agent, createServer } from 'node:http'
import { createProxyServer } from 'http-proxy-3'

const [port, target = ''] = process.argv.slice(2)
const proxy = createProxyServer({ target, agent: new Agent({ keepAlive: true }) })
// A client went away: what is cut off is cut off. An app that fails shows in the status that the load expects.
proxy.on('error', (_error, _request, response) => response.destroy())
const server = createServer((request, response) => proxy.web(request, response))
server.keepAliveTimeout = 600_000
server.listen(Number(port), '127.0.0.1')
