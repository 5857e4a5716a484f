import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** A request as the app behind the gateway got it. */
export interface AppRequest {
  readonly method: string
  readonly url: string
  /** The values of every line of that name. */
  values(name: string): string[]
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
  /** The claims of `X-Session-Assertion`, not verified. */
  claims(): { readonly auth: boolean; readonly sid?: string; readonly ses: Record<string, unknown> } & Record<
    string,
    unknown
  >
}

export interface AppAnswer {
  readonly status?: number
  /** Flat name, value, …: several lines of one name are possible. */
  readonly headers?: readonly string[]
  readonly body?: string | Buffer
}

export type AppHandler = (request: AppRequest) => AppAnswer | Promise<AppAnswer>

/** An app that does what a test tells it. */
export interface TestApp extends AsyncDisposable {
  readonly origin: string
  readonly requests: readonly AppRequest[]
}

export async function startApp(handler: AppHandler): Promise<TestApp> {
  const requests: AppRequest[] = []
  const server = createServer(async (incoming, response) => {
    const received = await buffer(incoming).catch(() => undefined)
    // The gateway went away in mid-body: there is nobody to answer.
    if (received === undefined) return
    const request = requestOf(incoming, received)
    requests.push(request)
    const { status = 200, headers = [], body = '' } = await handler(request)
    const length = ['Content-Length', String(Buffer.byteLength(body))]
    response.writeHead(status, [...headers, ...(status === 204 || status === 304 ? [] : length)])
    response.end(request.method === 'HEAD' ? undefined : body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

function requestOf(incoming: IncomingMessage, body: Buffer): AppRequest {
  const { rawHeaders } = incoming
  const values = (name: string): string[] =>
    rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name.toLowerCase())
  return {
    method: incoming.method ?? '',
    url: incoming.url ?? '',
    values,
    rawHeaders,
    body,
    claims: () =>
      JSON.parse(Buffer.from(values('X-Session-Assertion')[0]?.split('.')[1] ?? '', 'base64url').toString()),
  }
}
