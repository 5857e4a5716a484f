import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { CONNECTIONS, type Load, type Target } from './load.ts'

const GET = (origin: string, cookie: string | undefined, extra = ''): string =>
  `GET / HTTP/1.1\r\nHost: ${new URL(origin).host}\r\n${cookie === undefined ? '' : `Cookie: ${cookie}\r\n`}${extra}\r\n`

/**
 * Every request on a connection of its own, 64 at a time. Beside autocannon, which writes its next request on a connection
 * that the server is about to close.
 *
 * @throws {Error} at the first answer that is not 200.
 */
export async function runClosingLoad({ origin, cookies }: Target, seconds: number): Promise<Load> {
  const durationsMs: number[] = []
  const startedMs = performance.now()
  const endMs = startedMs + seconds * 1000
  const work = async (worker: number): Promise<void> => {
    const request = GET(origin, cookies[worker % Math.max(1, cookies.length)], 'Connection: close\r\n')
    for (let fromMs = startedMs; fromMs < endMs; ) {
      const socket = openSocket(origin)
      socket.write(request, 'latin1')
      let answer = ''
      socket.on('data', (bytes: Buffer) => {
        answer += bytes.toString('latin1')
      })
      await once(socket, 'close')
      if (!answer.startsWith('HTTP/1.1 200 ')) throw new Error(`${origin} answered ${answer.slice(0, 30)}`)
      const nowMs = performance.now()
      durationsMs.push(nowMs - fromMs)
      fromMs = nowMs
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, worker) => work(worker)))
  return loadOf(durationsMs, performance.now() - startedMs)
}

/**
 * So many requests a second, evenly: a request that has to wait for one of the 64 connections has waited since it was
 * due. autocannon's own limit sends all that belongs to a second at its beginning, which is a rush once a second, and not
 * half of the load.
 *
 * @throws {Error} at the first answer that is not 200.
 */
export async function runPacedLoad(
  target: Target,
  { perSecond, seconds }: { perSecond: number; seconds: number },
): Promise<Load> {
  const { origin, cookies } = target
  const durationsMs: number[] = []
  const idle: Line[] = []
  const due: number[] = []
  const send = (line: Line, dueMs: number): void => {
    line.send((nowMs) => {
      durationsMs.push(nowMs - dueMs)
      const nextMs = due.shift()
      if (nextMs === undefined) idle.push(line)
      else send(line, nextMs)
    })
  }
  const lines = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, i) => openLine(origin, cookies[i % Math.max(1, cookies.length)])),
  )
  idle.push(...lines)
  const startedMs = performance.now()
  const total = Math.round(perSecond * seconds)
  for (let sent = 0; sent < total; ) {
    const nowMs = performance.now()
    // What is late because of this loop's own timer is not held against the server.
    for (const end = Math.min(total, ((nowMs - startedMs) / 1000) * perSecond); sent < end; sent++) {
      const line = idle.shift()
      if (line === undefined) due.push(nowMs)
      else send(line, nowMs)
    }
    await pause(lines)
  }
  while (idle.length < lines.length) await pause(lines)
  const elapsedMs = performance.now() - startedMs
  for (const line of lines) line.close()
  return loadOf(durationsMs, elapsedMs)
}

async function pause(lines: readonly Line[]): Promise<void> {
  await new Promise((done) => setTimeout(done, 1))
  for (const { failure } of lines) if (failure !== undefined) throw failure
}

/** A connection that is kept, with one request at a time. */
interface Line {
  readonly failure: Error | undefined
  send(onAnswer: (nowMs: number) => void): void
  close(): void
}

async function openLine(origin: string, cookie: string | undefined): Promise<Line> {
  const socket = openSocket(origin)
  await once(socket, 'connect')
  const request = Buffer.from(GET(origin, cookie), 'latin1')
  let answer = ''
  let onAnswer: ((nowMs: number) => void) | undefined
  let failure: Error | undefined
  const fail = (why: string): void => {
    failure ??= new Error(`${origin}: ${why}`)
  }
  socket.on('error', ({ message }) => fail(message))
  socket.on('close', () => fail('the connection was closed'))
  socket.on('data', (bytes: Buffer) => {
    answer += bytes.toString('latin1')
    if (!isWhole(answer)) return
    if (!answer.startsWith('HTTP/1.1 200 ')) fail(answer.slice(0, 30))
    answer = ''
    onAnswer?.(performance.now())
  })
  return {
    get failure() {
      return failure
    },
    send(listener) {
      onAnswer = listener
      socket.write(request)
    },
    close: () => socket.destroy(),
  }
}

/** Of an answer with a `Content-Length`, or in one last chunk. */
function isWhole(answer: string): boolean {
  const headEnd = answer.indexOf('\r\n\r\n')
  if (headEnd === -1) return false
  const length = /^content-length: *(\d+)/im.exec(answer.slice(0, headEnd))?.[1]
  return length === undefined ? answer.endsWith('\r\n0\r\n\r\n') : answer.length >= headEnd + 4 + Number(length)
}

function openSocket(origin: string): Socket {
  const { hostname, port } = new URL(origin)
  return connect({ host: hostname, port: Number(port), noDelay: true })
}

function loadOf(durationsMs: number[], elapsedMs: number): Load {
  durationsMs.sort((a, b) => a - b)
  const { length } = durationsMs
  const at = (share: number): number => durationsMs[Math.min(length - 1, Math.floor(length * share))] ?? Number.NaN
  return { requests: length, perSecond: (length / elapsedMs) * 1000, p50Ms: at(0.5), p99Ms: at(0.99) }
}
