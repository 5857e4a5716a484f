/** The least that makes a proxy of undici's `dispatch`: raw headers through, the body as it comes: `PORT APP-ORIGIN`. */
import { createServer } from 'node:http'
import { Pool } from 'undici'

const [port, origin = ''] = process.argv.slice(2)
const pool = new Pool(origin, { connections: 64 })
const hopByHop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade'])

/** Flat names and values, without those that belong to one connection. */
function endToEnd(raw: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? ''
    if (!hopByHop.has(name.toLowerCase())) kept.push(name, raw[i + 1] ?? '')
  }
  return kept
}

const server = createServer((request, response) => {
  const { method = 'GET', url = '/' } = request
  const body = method === 'GET' || method === 'HEAD' ? null : request
  pool.dispatch(
    { path: url, method, headers: endToEnd(request.rawHeaders), body },
    {
      onRequestStart(controller) {
        response.once('close', () => {
          if (!response.writableEnded) controller.abort(new Error('the client went away'))
        })
      },
      onResponseStart({ rawHeaders }, status) {
        const raw = (rawHeaders ?? []) as readonly (string | Buffer)[]
        const text = raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
        response.writeHead(status, endToEnd(text))
      },
      onResponseData(controller, chunk) {
        if (response.write(chunk)) return
        controller.pause()
        response.once('drain', () => controller.resume())
      },
      onResponseEnd() {
        response.end()
      },
      onResponseError() {
        response.destroy()
      },
    },
  )
})
server.keepAliveTimeout = 600_000
server.listen(Number(port), '127.0.0.1')
