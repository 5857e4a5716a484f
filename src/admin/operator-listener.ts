import { X509Certificate } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import type { ListenAddress } from '../lib/listening.ts'
import { createSingleFlight } from '../lib/single-flight.ts'
import type { AdminApi } from './api.ts'
import { type CreateOperatorServer, OperatorDoor } from './operator-door.ts'
import { isForPage, type OperatorPage, openOperatorPage } from './page.ts'

/** What `/readyz` tells: a word for each thing that must work. */
export interface ReadyReport {
  readonly isReady: boolean
  readonly checks: Readonly<Record<string, string>>
}

export interface OperatorListenerOptions {
  readonly address: ListenAddress
  /** Prometheus' text format. Asked for once at a time, however many scrape. */
  readonly metrics: () => Promise<string>
  readonly isReady: () => Promise<ReadyReport>
  /** Never looks at stores: a gateway whose database is down must not be restarted for it. */
  readonly isLive: () => boolean
}

export interface OperatorListener extends AsyncDisposable {
  /** `host:port`, or the socket's path. */
  readonly address: string
  /** From now on it serves what is below `/api`, and the page that asks there; undefined: neither is there. */
  useApi(api: AdminApi | undefined): void
  /** From now on it speaks that on new connections. Default: plain http. */
  speak(create: CreateOperatorServer): void
  /**
   * Takes nobody any more, and ends the streams; who waits for an answer gets it, for he may have asked for this very
   * change. Resolves when the last connection is closed, after `IDLE_MS` at the latest.
   */
  leave(): Promise<void>
}

/**
 * A reader who takes nothing is let go after one to two times this: until then the text that it asked for is kept for it.
 * Longer than a look at the stores takes.
 */
const IDLE_MS = 15_000

interface OperatorAnswer {
  readonly status: number
  readonly type: string
  readonly body: string
}

/** The operator's listener: `/metrics`, `/livez`, `/readyz`, which change nothing and answer GET and HEAD only, `/api`, and the page. */
export async function openOperatorListener(options: OperatorListenerOptions): Promise<OperatorListener> {
  const listener = new Listener(options)
  await listener.open()
  return listener
}

class Listener implements OperatorListener {
  readonly #options: OperatorListenerOptions
  readonly #door: OperatorDoor
  /** To write the text takes milliseconds in which nothing else happens: who asks meanwhile shares the next one. */
  readonly #scrape: (signal: undefined) => Promise<string>
  #api: AdminApi | undefined
  #page: OperatorPage | undefined

  constructor(options: OperatorListenerOptions) {
    this.#options = options
    this.#scrape = createSingleFlight(options.metrics)
    this.#door = new OperatorDoor({
      address: options.address,
      server: { maxHeaderSize: 8 * 1024, requestTimeout: 10_000 },
      idleMs: IDLE_MS,
      serve: (request, response, certificate) => this.#serve(request, response, certificate),
    })
  }

  async open(): Promise<void> {
    await this.#door.listen()
  }

  get address(): string {
    return this.#door.address
  }

  useApi(api: AdminApi | undefined): void {
    this.#api?.close()
    this.#api = api
    this.#page = api && (this.#page ?? openOperatorPage())
  }

  speak(create: CreateOperatorServer): void {
    this.#door.speak(create)
  }

  leave(): Promise<void> {
    this.#api?.close()
    return this.#door.leave()
  }

  [Symbol.asyncDispose](): Promise<void> {
    const left = this.leave()
    this.#door.cut()
    return left
  }

  async #serve(request: IncomingMessage, response: ServerResponse, certificate?: string): Promise<void> {
    if (mayAsk(request, this.#options.address)) {
      if (this.#api !== undefined && isForApi(request))
        return await this.#api.serve(request, response, subjectOf(certificate))
      if (this.#page !== undefined && isForPage(request)) return await this.#page.serve(request, response)
    }
    const answer = await this.#answerTo(request).catch(() => plain(500, 'the operator listener failed\n'))
    response.writeHead(answer.status, {
      'Content-Type': answer.type,
      'Content-Length': Buffer.byteLength(answer.body),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...(answer.status === 405 ? { Allow: 'GET, HEAD' } : {}),
    })
    response.end(request.method === 'HEAD' ? undefined : answer.body)
  }

  async #answerTo(request: IncomingMessage): Promise<OperatorAnswer> {
    const { address, isLive, isReady } = this.#options
    const isReading = request.method === 'GET' || request.method === 'HEAD'
    if (!isReading && !isForApi(request)) return plain(405, 'only GET and HEAD\n')
    if (!isExpectedHost(request, address)) return plain(421, 'this host is not served here\n')
    if (!mayAsk(request, address)) return plain(403, 'not for other sites\n')
    if (isForApi(request)) return plain(404, 'there is no /api without admin.token or admin.tls.client_ca\n')
    switch (request.url?.split('?', 1)[0]) {
      case '/metrics':
        return { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: await this.#scrape(undefined) }
      case '/livez':
        return isLive() ? plain(200, 'live\n') : plain(503, 'not live\n')
      case '/readyz':
        return readyAnswer(await isReady())
      default:
        return plain(404, '/metrics, /livez and /readyz are here\n')
    }
  }
}

function isForApi({ url = '' }: IncomingMessage): boolean {
  return url === '/api' || url.startsWith('/api/') || url.startsWith('/api?')
}

function mayAsk(request: IncomingMessage, address: ListenAddress): boolean {
  return isExpectedHost(request, address) && !isFromOtherSite(request) && !isFromOtherOrigin(request)
}

/**
 * Browsers name the origin of every request that may change something; it must be this one. They show a certificate of
 * their user's to whichever page asks, so with one this is what keeps the pages of others out.
 */
function isFromOtherOrigin({ headers, socket }: IncomingMessage): boolean {
  const scheme = 'encrypted' in socket ? 'https' : 'http'
  return headers.origin !== undefined && headers.origin !== `${scheme}://${headers.host}`
}

/** Whom the certificate names: its subject, on one line, or its other names where it has none. */
function subjectOf(certificate: string | undefined): string | undefined {
  if (certificate === undefined) return undefined
  const { subject, subjectAltName, fingerprint256 } = new X509Certificate(Buffer.from(certificate, 'base64'))
  return subject?.replaceAll('\n', ', ') || subjectAltName || fingerprint256
}

function readyAnswer({ isReady, checks }: ReadyReport): OperatorAnswer {
  const body = `${JSON.stringify({ ready: isReady, checks })}\n`
  return { status: isReady ? 200 : 503, type: 'application/json', body }
}

function plain(status: number, body: string): OperatorAnswer {
  return { status, type: 'text/plain; charset=utf-8', body }
}

/**
 * On a loopback address only loopback names are answered: a page in the operator's own browser whose name was made to
 * point at 127.0.0.1 (DNS rebinding) sends its own name. On other addresses the network decides who may come.
 */
function isExpectedHost(request: IncomingMessage, address: ListenAddress): boolean {
  if (address.kind === 'unix' || address.host === undefined || !isLoopback(address.host)) return true
  const name = (request.headers.host ?? '').replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  return isLoopback(name.toLowerCase())
}

/** A browser says so of requests that a page of another site makes; nobody but a browser sends the header. */
function isFromOtherSite(request: IncomingMessage): boolean {
  const site = request.headers['sec-fetch-site']
  return site !== undefined && site !== 'none' && site !== 'same-origin'
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
