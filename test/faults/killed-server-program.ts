/**
 * An app for `rows-25-26-killed-servers.test.ts`, in a process of its own that can be killed: `node … PORT FILE`. It says `listening`,
 * answers each request with its path, and notes each POST in the file before it answers.
 */
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'

const [port = '', file = ''] = process.argv.slice(2)

/** So long a request is under way, in milliseconds. */
const WORK_MS = 8

const server = createServer((request, response) => {
  const path = request.url ?? ''
  request.resume()
  request.on('end', () => {
    if (request.method === 'POST') appendFileSync(file, `${path}\n`)
    response.setHeader('X-Server', port)
    response.setHeader('Content-Length', path.length)
    // Of some the answer has begun when the work begins.
    if (path.startsWith('/part/')) response.write(path.slice(0, 3))
    setTimeout(() => response.end(path.startsWith('/part/') ? path.slice(3) : path), WORK_MS)
  })
})
server.keepAliveTimeout = 60_000
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'))
// The test is gone, however it ended.
process.stdin.resume().on('end', () => process.exit())
