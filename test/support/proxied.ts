import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { GatewayError } from '../../src/errors.ts'
import { openUpstream } from '../../src/proxy/forward.ts'
import type {
  Departure,
  DepartureWatcher,
  Upstream,
  UpstreamAnswer,
  UpstreamOptions,
  UpstreamRequest,
  UpstreamTimeouts,
} from '../../src/proxy/upstream.ts'

/** Opens an upstream of one kind. */
export type OpenTo = typeof openTo

/** One test for each implementation of `Upstream`: both keep the same promises. `openTo` opens one of that kind. */
export function testEach(name: string, run: (openTo: OpenTo, t: TestContext) => Promise<void>): void {
  for (const implementation of ['lean', 'undici'] as const) {
    test(`${implementation}: ${name}`, (t) =>
      run((servers, options) => openTo(servers, { implementation, ...options }), t))
  }
}

/** Opens an upstream named `app` over those origins, patient enough for a busy machine; `timeouts` may be given in part. */
export function openTo(
  servers: string | readonly string[],
  { timeouts, ...options }: Partial<Omit<UpstreamOptions, 'timeouts'>> & { timeouts?: Partial<UpstreamTimeouts> } = {},
): Upstream {
  return openUpstream({
    name: 'app',
    servers: typeof servers === 'string' ? [servers] : servers,
    retries: 0,
    timeouts: { connectMs: 10_000, firstByteMs: 10_000, idleMs: 10_000, ...timeouts },
    ...options,
  })
}

/** A request as the gateway would send it: GET / for `app.test` unless told otherwise. */
export function requestTo(overrides: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    method: 'GET',
    target: '/',
    headers: ['Host', 'app.test'],
    body: null,
    client: createClient(),
    ...overrides,
  }
}

/** The browser's end of an exchange, which can be made to leave. */
export function createClient(): Departure & { leave(): void } {
  const client = {
    isGone: false,
    watcher: undefined as DepartureWatcher | undefined,
    leave() {
      client.isGone = true
      client.watcher?.onGone()
    },
  }
  return client
}

type Body = UpstreamAnswer['body']

/** A body as bytes, whether it came as a text or comes as a stream. */
export async function bytesOf(body: Body): Promise<Buffer> {
  return typeof body === 'string' ? Buffer.from(body, 'latin1') : await buffer(body)
}

/** A body as text, its bytes taken for UTF-8. */
export async function textOf(body: Body): Promise<string> {
  return String(await bytesOf(body))
}

/** A body that cannot have come whole, since the test has not sent all of it. */
export function streamOf(body: Body): Readable {
  if (typeof body === 'string') throw new Error('the body is there already')
  return body
}

/** What a promise failed with, as `CODE proxy_error`, or `no error`. Anything but a GatewayError is thrown on. */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'no error'
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    return `${error.code} ${error.proxyError}`
  }
}

/** An origin on 127.0.0.1 on which nobody listens. */
export async function closedOrigin(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}
