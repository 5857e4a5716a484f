import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { addressText, type ListenAddress, listenOn } from '../lib/listening.ts'
import { createSingleFlight } from '../lib/single-flight.ts'
import type { AdminApi } from './api.ts'
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
  let api: AdminApi | undefined
  let page: OperatorPage | undefined
  const server = createOperatorServer((request, response) => void serve(request, response))
  // To write the text takes milliseconds in which nothing else happens: who asks meanwhile shares the next one.
  const scrape = createSingleFlight(options.metrics)
  await listenOn(server, options.address)
  return {
    address: addressText(server, options.address),
    useApi(next) {
      api?.close()
      api = next
      page = next && (page ?? openOperatorPage())
    },
    leave() {
      api?.close()
      return emptied(server)
    },
    [Symbol.asyncDispose]() {
      api?.close()
      const closed = emptied(server)
      server.closeAllConnections()
      return closed
    },
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (api !== undefined && isForApi(request) && mayAsk(request, options.address))
      return await api.serve(request, response)
    if (page !== undefined && isForPage(request) && mayAsk(request, options.address))
      return await page.serve(request, response)
    const answer = await answerTo(request).catch(() => plain(500, 'the operator listener failed\n'))
    response.writeHead(answer.status, {
      'Content-Type': answer.type,
      'Content-Length': Buffer.byteLength(answer.body),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...(answer.status === 405 ? { Allow: 'GET, HEAD' } : {}),
    })
    response.end(request.method === 'HEAD' ? undefined : answer.body)
  }

  async function answerTo(request: IncomingMessage): Promise<OperatorAnswer> {
    if (isForApi(request) && mayAsk(request, options.address))
      return plain(404, 'there is no /api without admin.token\n')
    if (!isForApi(request) && request.method !== 'GET' && request.method !== 'HEAD')
      return plain(405, 'only GET and HEAD\n')
    if (!isExpectedHost(request, options.address)) return plain(421, 'this host is not served here\n')
    if (!mayAsk(request, options.address)) return plain(403, 'not for other sites\n')
    switch (request.url?.split('?', 1)[0]) {
      case '/metrics':
        return { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: await scrape(undefined) }
      case '/livez':
        return options.isLive() ? plain(200, 'live\n') : plain(503, 'not live\n')
      case '/readyz':
        return readyAnswer(await options.isReady())
      default:
        return plain(404, '/metrics, /livez and /readyz are here\n')
    }
  }
}

function createOperatorServer(serve: RequestListener): Server {
  const server = createServer({ maxHeaderSize: 8 * 1024, requestTimeout: 10_000 }, (request, response) => {
    // A connection that is kept after its answer would be served on by a listener that is closed.
    response.once('finish', () => {
      if (!server.listening) server.closeIdleConnections()
    })
    serve(request, response)
  })
  return server.setTimeout(IDLE_MS)
}

/** Takes nobody any more; resolves when the last connection is closed. */
async function emptied(server: Server): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), IDLE_MS)
  await new Promise((resolve) => server.close(resolve))
  clearTimeout(cut)
}

function isForApi({ url = '' }: IncomingMessage): boolean {
  return url === '/api' || url.startsWith('/api/') || url.startsWith('/api?')
}

function mayAsk(request: IncomingMessage, address: ListenAddress): boolean {
  return isExpectedHost(request, address) && !isFromOtherSite(request) && !isFromOtherOrigin(request)
}

/** Browsers name the origin of every request that may change something; it must be this one. */
function isFromOtherOrigin({ headers }: IncomingMessage): boolean {
  return headers.origin !== undefined && headers.origin !== `http://${headers.host}`
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
