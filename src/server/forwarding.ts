import { GatewayError } from '../errors.ts'
import type { UpstreamAttempt } from '../observe/exchange.ts'
import type { UpstreamAnswer } from '../proxy/upstream.ts'
import type { ForwardAdmission } from './admission.ts'
import { limitBody } from './body-limit.ts'
import type { Visit } from './visit.ts'

/** Step 6: hands the request up, and writes into the visit what became of it there. */
export async function sendUp(visit: Visit, admission: ForwardAdmission): Promise<UpstreamAnswer> {
  const { route, framing } = admission
  const body = framing.hasBody ? limitBody(visit, route.maxBodyBytes) : null
  if (body !== null) visit.door.wantBody()
  const { contentLength } = framing
  visit.upstreamStartedMs = performance.now()
  try {
    const answer = await route.upstream.forward({
      method: visit.method,
      target: admission.target,
      headers: admission.headers,
      body,
      client: visit,
      onInformation: (status, headers) => visit.door.inform(status, headers),
      contentLength,
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
  const { status, firstByteMs, attempts } = answer
  const address = hostOf(answer.server)
  const last = { address, status, error: undefined, firstByteMs }
  visit.exchange.upstream = {
    name,
    attempts: attempts === 1 ? [last] : [...failedAttempts(address, attempts - 1), last],
    durationMs: 0,
  }
  visit.exchange.outcome = 'forwarded'
}

function failedAttempts(address: string, count: number): UpstreamAttempt[] {
  return Array.from({ length: count }, () => ({ address, error: 'connection_terminated' as const }))
}

/** `http://` and `https://` are all that an origin has in front of its host. */
function hostOf(origin: string): string {
  return origin.slice(origin.indexOf('//') + 2)
}

/** It did not, or not in a way that can be passed on. */
export function noteUpstreamFailure(visit: Visit, name: string, error: GatewayError): void {
  const { server } = error.facts
  const address = typeof server === 'string' ? hostOf(server) : name
  visit.exchange.upstream = { name, attempts: [{ address, error: error.proxyError }], durationMs: 0 }
}

/** It answered, and the answer broke off on its way to the browser. Nothing is written down where the browser left. */
export function noteBrokenOff({ exchange, isGone }: Visit, error: unknown): void {
  if (isGone || !(error instanceof GatewayError)) return
  const { code, message, proxyError, facts, cause } = error
  exchange.error = { code, message, proxyError, facts, cause }
  const { upstream } = exchange
  const last = upstream?.attempts.at(-1)
  // A reader that takes nothing is no failure of the app's.
  if (upstream === undefined || last === undefined || code === 'ERR_REQUEST_TIMEOUT') return
  exchange.upstream = { ...upstream, attempts: upstream.attempts.with(-1, { ...last, error: proxyError }) }
}
