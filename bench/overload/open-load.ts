import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** What came of requests that were due at fixed times, whether or not those before them were answered. */
export interface OpenLoad {
  /** Answers with 200, per second. */
  readonly goodPerSecond: number
  /** Answers with 503, per second. */
  readonly refusedPerSecond: number
  /** Neither, by the end: still waiting, or the connection was cut. */
  readonly lost: number
  /** Of answers with 200, from when the request was due. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of those with 503. */
  readonly refusedP99Ms: number
}

export interface OpenLoadOptions {
  readonly port: number
  readonly path: string
  readonly perSecond: number
  readonly seconds: number
  /**
   * Open from the start, since a busy process takes one new connection for each turn of its event loop, and what is meant
   * here is requests. One that finds none idle waits for one, and has waited since it was due.
   */
  readonly connections: number
  /** `name=value` of a session. */
  readonly cookie: string | undefined
}

/** An open loop: nobody asks more slowly because answers are late, as visitors who do not know of each other do not. */
export async function runOpenLoad(options: OpenLoadOptions): Promise<OpenLoad> {
  const { perSecond, seconds } = options
  const tally = new Tally()
  const crowd = new Crowd(options, tally)
  await crowd.gather()
  const startedMs = performance.now()
  const total = Math.round(perSecond * seconds)
  let sent = 0
  while (sent < total) {
    const nowMs = performance.now()
    for (const end = Math.min(total, ((nowMs - startedMs) / 1000) * perSecond); sent < end; sent++) {
      crowd.ask(startedMs + (sent / perSecond) * 1000)
    }
    await new Promise((done) => setTimeout(done, 1))
  }
  const elapsedMs = performance.now() - startedMs
  const inTime = tally.report(elapsedMs)
  crowd.leave()
  return { ...inTime, lost: total - tally.good.length - tally.refused.length }
}

class Tally {
  readonly good: number[] = []
  readonly refused: number[] = []

  note(status: number, durationMs: number): void {
    if (status === 200) this.good.push(durationMs)
    else if (status === 503) this.refused.push(durationMs)
    else throw new Error(`an answer with ${status}`)
  }

  report(elapsedMs: number): Omit<OpenLoad, 'lost'> {
    const perSecond = ({ length }: readonly number[]): number => (length / elapsedMs) * 1000
    const good = this.good.toSorted((a, b) => a - b)
    const refused = this.refused.toSorted((a, b) => a - b)
    const at = (all: readonly number[], share: number): number => all[Math.floor(all.length * share)] ?? Number.NaN
    return {
      goodPerSecond: perSecond(good),
      refusedPerSecond: perSecond(refused),
      p50Ms: at(good, 0.5),
      p99Ms: at(good, 0.99),
      refusedP99Ms: at(refused, 0.99),
    }
  }
}

/** Connections, each with one request at a time. */
class Crowd {
  readonly #options: OpenLoadOptions
  readonly #tally: Tally
  readonly #request: Buffer
  readonly #idle: Line[] = []
  readonly #due: number[] = []
  #nextDue = 0
  readonly #lines = new Set<Line>()

  constructor(options: OpenLoadOptions, tally: Tally) {
    this.#options = options
    this.#tally = tally
    const cookie = options.cookie === undefined ? '' : `Cookie: ${options.cookie}\r\n`
    this.#request = Buffer.from(
      `GET ${options.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*;q=0.5, text/plain\r\n${cookie}\r\n`,
    )
  }

  async gather(): Promise<void> {
    for (let i = 0; i < this.#options.connections; i++) {
      const line = this.#open()
      await once(line.socket, 'connect')
      this.#idle.push(line)
    }
  }

  ask(dueMs: number): void {
    const line = this.#idle.pop()
    if (line !== undefined) line.send(this.#request, dueMs)
    else this.#due.push(dueMs)
  }

  leave(): void {
    for (const line of this.#lines) line.socket.destroy()
  }

  #open(): Line {
    const line: Line = new Line(this.#options.port, {
      onAnswer: (status, dueMs) => {
        this.#tally.note(status, performance.now() - dueMs)
        const next = this.#due[this.#nextDue]
        if (next === undefined) {
          this.#idle.push(line)
          return
        }
        this.#nextDue += 1
        line.send(this.#request, next)
      },
      onClosed: () => {
        this.#lines.delete(line)
        const at = this.#idle.indexOf(line)
        if (at !== -1) this.#idle.splice(at, 1)
      },
    })
    this.#lines.add(line)
    return line
  }
}

interface LineEvents {
  readonly onAnswer: (status: number, dueMs: number) => void
  readonly onClosed: () => void
}

/** Counts bytes instead of keeping them: what asks must cost less than what answers. */
class Line {
  readonly socket: Socket
  #dueMs = 0
  #status = 0
  #head = ''
  #bytesLeft = 0

  constructor(port: number, events: LineEvents) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.on('error', () => undefined).on('close', events.onClosed)
    this.socket.on('data', (bytes: Buffer) => {
      if (!this.#isWhole(bytes)) return
      const status = this.#status
      this.#status = 0
      events.onAnswer(status, this.#dueMs)
    })
  }

  send(request: Buffer, dueMs: number): void {
    this.#dueMs = dueMs
    this.socket.write(request)
  }

  #isWhole(bytes: Buffer): boolean {
    if (this.#status !== 0) {
      this.#bytesLeft -= bytes.length
      return this.#bytesLeft <= 0
    }
    this.#head += bytes.toString('latin1')
    const end = this.#head.indexOf('\r\n\r\n')
    if (end === -1) return false
    this.#status = Number(this.#head.slice(9, 12))
    const length = Number(/^content-length: *(\d+)/im.exec(this.#head.slice(0, end))?.[1])
    this.#bytesLeft = end + 4 + length - this.#head.length
    this.#head = ''
    return this.#bytesLeft <= 0
  }
}
