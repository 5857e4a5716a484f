import { GatewayError } from '../errors.ts'
import type { UpstreamAnswer } from '../proxy/upstream.ts'
import type { ForwardAdmission } from './admission.ts'
import { limitBody } from './body-limit.ts'
import type { Visit } from './visit.ts'

/** Step 6: hands the request up, and writes into the visit what became of it there. */
export async function sendUp(visit: Visit, admission: ForwardAdmission): Promise<UpstreamAnswer> {
  const { route, framing } = admission
  const body = framing.hasBody ? limitBody(visit, route.maxBodyBytes) : null
  if (body !== null) visit.wantBody()
  const { contentLength } = framing
  visit.upstreamStartedMs = performance.now()
  try {
    const answer = await route.upstream.forward({
      method: visit.method,
      target: admission.target,
      headers: admission.headers,
      body,
      signal: visit.gone,
      onInformation: visit.inform,
      ...(contentLength === undefined ? {} : { contentLength }),
    })
    noteUpstreamAnswer(visit, route.upstream.name, answer)
    return answer
  } catch (error) {
    if (error instanceof GatewayError) noteUpstreamFailure(visit, route.upstream.name, error)
    throw error
  }
}

/** The app answered. */
export function noteUpstreamAnswer(
  visit: Visit,
  name: string,
  answer: Pick<UpstreamAnswer, 'server' | 'attempts' | 'status' | 'firstByteMs'>,
): void {
  const address = new URL(answer.server).host
  const failed = Array.from({ length: answer.attempts - 1 }, () => ({
    address,
    error: 'connection_terminated' as const,
  }))
  const { status, firstByteMs } = answer
  visit.exchange.upstream = { name, attempts: [...failed, { address, status, firstByteMs }], durationMs: 0 }
  visit.exchange.outcome = 'forwarded'
}

/** It did not, or not in a way that can be passed on. */
export function noteUpstreamFailure(visit: Visit, name: string, error: GatewayError): void {
  const { server } = error.facts
  const address = typeof server === 'string' ? new URL(server).host : name
  visit.exchange.upstream = { name, attempts: [{ address, error: error.proxyError }], durationMs: 0 }
}
