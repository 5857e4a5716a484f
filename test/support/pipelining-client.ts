import { connect, type Socket } from 'node:net'

/** One request as it goes over the wire; latin1, one character a byte. */
export interface PipelinedRequest {
  readonly bytes: string
  /** The method by which its answer is delimited. Default `GET`. */
  readonly method?: string
}

export interface PipelinedAnswer {
  readonly status: number
  /** Status line and header lines, without the empty line. */
  readonly head: string
  readonly body: string
}

export interface PipelineOptions {
  /** How many connections there are at once. Default 8. */
  readonly connections?: number
  /** How many requests may be on a connection before the first of them has its answer. Default 4. */
  readonly depth?: number
}

/**
 * Sends requests over some kept connections, several ahead of their answers, as fast as the other side takes them. Where
 * a connection ends, the one that ends it is told as unanswered if no answer to it came, and those behind it go to the
 * next connection: whoever closes has not served them.
 */
export async function sendAll<R extends PipelinedRequest>(
  port: number,
  requests: Iterable<R>,
  onAnswer: (request: R, answer: PipelinedAnswer | undefined) => void,
  { connections = 8, depth = 4 }: PipelineOptions = {},
): Promise<void> {
  const source = requests[Symbol.iterator]()
  const returned: R[] = []
  const next = (): R | undefined => {
    const again = returned.shift()
    if (again !== undefined) return again
    const { value, done } = source.next()
    return done === true ? undefined : value
  }
  const lane = async (): Promise<void> => {
    for (;;) {
      const first = next()
      if (first === undefined) return
      returned.push(...(await talk({ port, first, next, onAnswer, depth })))
    }
  }
  await Promise.all(Array.from({ length: connections }, lane))
  // Another lane may have returned some after this one had ended.
  if (returned.length > 0) await sendAll(port, returned.splice(0), onAnswer, { connections, depth })
}

interface Talk<R> {
  readonly port: number
  readonly first: R
  readonly next: () => R | undefined
  readonly onAnswer: (request: R, answer: PipelinedAnswer | undefined) => void
  readonly depth: number
}

/** One connection from its first request to its end; gives back what it was not answered, but for the one at fault. */
function talk<R extends PipelinedRequest>({ port, first, next, onAnswer, depth }: Talk<R>): Promise<R[]> {
  const { promise, resolve, reject } = Promise.withResolvers<R[]>()
  const waiting: R[] = []
  let reader = new AnswerReader()
  let answered = 0
  let isOver = false
  const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.setEncoding('latin1')
  const send = (request: R): void => {
    waiting.push(request)
    socket.write(request.bytes, 'latin1')
  }
  function take(): void {
    for (;;) {
      const [request] = waiting
      if (request === undefined) return
      const answer = reader.next(request.method ?? 'GET')
      if (answer === undefined) return
      waiting.shift()
      answered += 1
      onAnswer(request, answer)
      if (/^connection: close\r?$/im.test(answer.head)) {
        // What comes behind it is nobody's.
        reader = new AnswerReader()
        end()
        return
      }
      const following = next()
      if (following !== undefined) send(following)
      else if (waiting.length === 0) {
        end()
        return
      }
    }
  }
  function end(): void {
    if (isOver) return
    isOver = true
    socket.destroy()
    const [culprit, ...others] = waiting
    // Nothing came for the first of a new connection: it is the one for which there is no answer.
    if (culprit !== undefined && answered === 0) {
      const last = reader.atEnd()
      onAnswer(culprit, last)
      resolve(others)
    } else {
      resolve([...waiting])
    }
  }
  socket.on('data', (text: unknown) => {
    if (isOver) return
    reader.push(String(text))
    try {
      take()
    } catch (error) {
      isOver = true
      socket.destroy()
      reject(error)
    }
  })
  socket.on('error', () => undefined)
  socket.on('close', end)
  send(first)
  for (let i = 1; i < depth; i += 1) {
    const another = next()
    if (another !== undefined) send(another)
  }
  return promise
}

/** Cuts what a connection brings into answers. */
class AnswerReader {
  #text = ''

  push(text: string): void {
    this.#text += text
  }

  /** The next answer, if it is there whole; interim ones are passed over. */
  next(method: string): PipelinedAnswer | undefined {
    for (;;) {
      const end = this.#text.indexOf('\r\n\r\n')
      if (end < 0) return undefined
      const head = this.#text.slice(0, end)
      const status = Number(/^HTTP\/1\.1 (\d{3})(?: |\r|$)/.exec(head)?.[1])
      if (Number.isNaN(status)) throw new Error(`not the head of an answer: ${JSON.stringify(head.slice(0, 200))}`)
      if (status < 200 && status !== 101) {
        this.#text = this.#text.slice(end + 4)
        continue
      }
      const body = this.#body({ head, status, from: end + 4, method })
      if (body === undefined) return undefined
      this.#text = this.#text.slice(body.end)
      return { status, head, body: body.text }
    }
  }

  /** An answer that ends with its connection. */
  atEnd(): PipelinedAnswer | undefined {
    const end = this.#text.indexOf('\r\n\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(this.#text)?.[1])
    if (end < 0 || Number.isNaN(status)) return undefined
    return { status, head: this.#text.slice(0, end), body: this.#text.slice(end + 4) }
  }

  #body(of: { head: string; status: number; from: number; method: string }): { text: string; end: number } | undefined {
    const { head, status, from, method } = of
    if (method === 'HEAD' || status === 204 || status === 304 || status === 101) return { text: '', end: from }
    const length = /^content-length: (\d+)\r?$/im.exec(head)?.[1]
    if (length !== undefined) {
      const end = from + Number(length)
      return this.#text.length < end ? undefined : { text: this.#text.slice(from, end), end }
    }
    if (!/^transfer-encoding: chunked\r?$/im.test(head)) return undefined
    let text = ''
    let at = from
    for (;;) {
      const line = this.#text.indexOf('\r\n', at)
      if (line < 0) return undefined
      const size = Number.parseInt(this.#text.slice(at, line), 16)
      const end = line + 2 + size + 2
      if (this.#text.length < end) return undefined
      if (size === 0) return { text, end }
      text += this.#text.slice(line + 2, line + 2 + size)
      at = end
    }
  }
}
