import { once } from 'node:events'
import { createServer } from 'node:net'
import { GatewayError } from '../../src/errors.ts'
import { openUpstream } from '../../src/proxy/forward.ts'
import type { Upstream, UpstreamOptions, UpstreamRequest, UpstreamTimeouts } from '../../src/proxy/upstream.ts'

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
    signal: new AbortController().signal,
    ...overrides,
  }
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
