import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { type Endpoint, endpoints } from './endpoints.ts'
import { openApiDocument } from './openapi.ts'
import { OperationRefused, type Operations } from './operations.ts'

/** A command is small; more is a mistake. */
const MAX_BODY_BYTES = 64 * 1024
/** Who watches requests costs something per request; more than a few nobody reads. */
const MAX_WATCHERS = 8
/** What may wait for a watcher that does not read, before lines are left out for him. */
const MAX_WAITING_BYTES = 256 * 1024
/** A stream on which nothing happens says so, or proxies take it for dead. */
const HEARTBEAT_MS = 15_000
/** So long a watcher may take nothing of what still waits for him when his stream is over. */
const PARTING_MS = 15_000

/** Something was changed, or tried. `peer` is the address it came from. */
export interface AuditEvent {
  readonly event: string
  /** `admin.token`, or the subject of the client certificate. */
  readonly actor: string
  readonly peer: string
  readonly outcome: 'done' | 'refused' | 'failed'
  /** What was asked for, without values. */
  readonly asked: readonly string[]
  /** How many things were changed, where it is more than one that can be. */
  readonly count?: number | undefined
}

export interface AdminApiOptions {
  readonly operations: Operations
  /** Undefined: only a certificate opens it. */
  readonly token: string | undefined
  readonly version: string
  readonly onAudit: (event: AuditEvent) => void
  readonly onFailure: (error: unknown) => void
}

/** Serves what is below `/api`. The caller has looked at Host and at the site that asks. */
export interface AdminApi {
  /** @param subject Of a client certificate that the listener vouches for; undefined: none was shown. */
  serve(request: IncomingMessage, response: ServerResponse, subject: string | undefined): Promise<void>
  /** Ends the streams. */
  close(): void
}

interface Reply {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Asked by somebody who may. */
interface Question {
  readonly request: IncomingMessage
  readonly actor: string
  readonly query: URLSearchParams
}

/** Nothing is told, not even which addresses there are, to somebody with neither token nor certificate. */
export function createAdminApi(options: AdminApiOptions): AdminApi {
  const api = new Api(options)
  return { serve: (...asked) => api.serve(...asked), close: () => api.close() }
}

class Api {
  readonly #options: AdminApiOptions
  readonly #tokenHash: Buffer | undefined
  readonly #document: unknown
  /** For each stream the way to end it. */
  readonly #streams = new Set<() => void>()

  constructor(options: AdminApiOptions) {
    this.#options = options
    this.#tokenHash = options.token === undefined ? undefined : hashOf(options.token)
    this.#document = openApiDocument(options.version)
  }

  async serve(request: IncomingMessage, response: ServerResponse, subject: string | undefined): Promise<void> {
    // Who was vouched for when the connection began need not be so any more when the next question comes.
    if (subject !== undefined) response.shouldKeepAlive = false
    const actor = subject ?? (this.#hasToken(request) ? 'admin.token' : undefined)
    const reply = await this.#replyTo(request, response, actor).catch((error: unknown): Reply => {
      this.#options.onFailure(error)
      return problem(500, 'it failed; the log says more')
    })
    if (reply === undefined) return
    const body = reply.body === undefined ? '' : `${JSON.stringify(reply.body)}\n`
    response.writeHead(reply.status, {
      'Content-Type': reply.status < 400 ? 'application/json' : 'application/problem+json',
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...reply.headers,
    })
    response.end(request.method === 'HEAD' ? undefined : body)
  }

  close(): void {
    for (const end of this.#streams) end()
  }

  /** Undefined: a stream has been begun. */
  async #replyTo(
    request: IncomingMessage,
    response: ServerResponse,
    actor: string | undefined,
  ): Promise<Reply | undefined> {
    if (actor === undefined) {
      const wanted = 'Authorization: Bearer, with admin.token, or a client certificate by admin.tls.client_ca'
      return { ...problem(401, wanted), headers: { 'WWW-Authenticate': 'Bearer' } }
    }
    const url = new URL(request.url ?? '/', 'http://operator')
    const path = url.pathname
    const isReading = request.method === 'GET' || request.method === 'HEAD'
    if (isReading && path === '/api/openapi.json') return { status: 200, body: this.#document }
    if (request.method === 'GET' && path === '/api/requests') return this.#stream(request, response)
    const there = endpoints.map((endpoint) => ({ endpoint, params: matchPath(endpoint.path, path) }))
    const found = there.filter(({ params }) => params !== undefined)
    if (found.length === 0) return problem(404, 'not here; /api/openapi.json tells what is')
    const method = isReading ? 'GET' : request.method
    const hit = found.find(({ endpoint }) => endpoint.method === method)
    if (hit === undefined) {
      const allow = found.map(({ endpoint }) => endpoint.method).join(', ')
      return { ...problem(405, `only ${allow}`), headers: { Allow: allow } }
    }
    return await this.#run(hit.endpoint, { request, actor, query: url.searchParams }, hit.params ?? {})
  }

  /** Compared by hash: the time that it takes says nothing of how much of a guess was right, nor of its length. */
  #hasToken({ headers }: IncomingMessage): boolean {
    const [, given] = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '') ?? []
    return given !== undefined && this.#tokenHash !== undefined && timingSafeEqual(hashOf(given), this.#tokenHash)
  }

  async #run(
    endpoint: Endpoint,
    { request, actor, query }: Question,
    params: Readonly<Record<string, string>>,
  ): Promise<Reply> {
    // Of a connection that has been cut by the end nobody knows any more where it came from.
    const peer = request.socket.remoteAddress ?? 'unix'
    const given = endpoint.method === 'GET' ? readQuery(query) : await readBody(request)
    if ('flaw' in given) return problem(given.status, given.flaw)
    const input = { ...given.members, ...params }
    const parsed = endpoint.input.safeParse(input)
    if (!parsed.success) return problem(400, z.prettifyError(parsed.error))
    const asked = Object.keys(input).toSorted()
    const audit = (outcome: AuditEvent['outcome'], count?: number): void => {
      if (endpoint.audited === undefined) return
      this.#options.onAudit({ event: endpoint.audited, actor, peer, outcome, asked, count })
    }
    const { socket } = request
    const idleMs = socket.timeout
    // What looks into every session may take longer than an idle connection is kept.
    socket.setTimeout(0)
    try {
      const body = await endpoint.run(this.#options.operations, input)
      audit(body === undefined ? 'refused' : 'done', endpoint.countOf?.(body))
      return body === undefined ? problem(404, 'there is no such thing') : { status: 200, body }
    } catch (error) {
      const isRefused = error instanceof OperationRefused
      audit(isRefused ? 'refused' : 'failed')
      if (isRefused) return problem(409, error.message)
      throw error
    } finally {
      socket.setTimeout(idleMs ?? 0)
    }
  }

  #stream(request: IncomingMessage, response: ServerResponse): Reply | undefined {
    if (this.#streams.size >= MAX_WATCHERS) return problem(409, `at most ${MAX_WATCHERS} watch at a time`)
    response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      'X-Accel-Buffering': 'no',
    })
    response.write(': requests as they end\n\n')
    let leftOut = 0
    const send = (text: string): void => {
      if (response.writableLength > MAX_WAITING_BYTES) leftOut += 1
      else response.write(text)
    }
    const onLine = (line: string): void => {
      if (leftOut > 0 && response.writableLength === 0) {
        response.write(`event: left_out\ndata: {"count":${leftOut}}\n\n`)
        leftOut = 0
      }
      send(`event: request\ndata: ${line}\n\n`)
    }
    const stop = this.#options.operations.watchRequests(onLine, (count) => {
      leftOut += count
    })
    const heartbeat = setInterval(() => send(': \n\n'), HEARTBEAT_MS).unref()
    const { socket } = request
    socket.setTimeout(0)
    const leave = (): void => {
      clearInterval(heartbeat)
      stop()
      this.#streams.delete(end)
    }
    // What is told after the end would be an error that nobody catches; and who takes nothing is not waited for.
    const end = (): void => {
      leave()
      response.end()
      socket.setTimeout(PARTING_MS)
    }
    this.#streams.add(end)
    response.once('close', leave)
    return undefined
  }
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** The values of `{name}` segments; undefined if the path is another. */
function matchPath(pattern: string, path: string): Readonly<Record<string, string>> | undefined {
  const wanted = pattern.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return undefined
  const params: Record<string, string> = {}
  for (const [at, segment] of wanted.entries()) {
    const [, name] = /^\{(\w+)\}$/.exec(segment) ?? []
    const text = given[at] ?? ''
    if (name === undefined ? segment !== text : text === '') return undefined
    if (name !== undefined) params[name] = decoded(text)
  }
  return params
}

/** What cannot be decoded is no name of anything. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

type Given =
  | { readonly members: Readonly<Record<string, unknown>> }
  | { readonly flaw: string; readonly status: number }

function readQuery(query: URLSearchParams): Given {
  const names = [...query.keys()]
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  return twice === undefined ? { members: Object.fromEntries(query) } : { status: 400, flaw: `${twice} stands twice` }
}

/** A form of another site's page cannot have this type without asking first (CORS); no body is an empty object. */
async function readBody(request: IncomingMessage): Promise<Given> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) return { status: 413, flaw: `a body of more than ${MAX_BODY_BYTES} bytes` }
    chunks.push(chunk)
  }
  const [type] = (request.headers['content-type'] ?? '').split(';')
  if (type?.trim().toLowerCase() !== 'application/json') return { status: 415, flaw: 'Content-Type: application/json' }
  try {
    const text = Buffer.concat(chunks).toString('utf8')
    const members: unknown = text === '' ? {} : JSON.parse(text)
    if (typeof members === 'object' && members !== null && !Array.isArray(members)) return { members: { ...members } }
  } catch {
    // Told below.
  }
  return { status: 400, flaw: 'the body is no JSON object' }
}

function problem(status: number, detail: string): Reply {
  return { status, body: { type: 'about:blank', status, detail } }
}
