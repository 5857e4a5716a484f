import { GatewayError } from '../errors.ts'
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
      affinity: visit.session?.foundKey,
      recorder: visit,
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
  answer: Pick<UpstreamAnswer, 'server' | 'status' | 'firstByteMs'>,
): void {
  const { status, firstByteMs, server } = answer
  const last = { address: server, status, error: undefined, firstByteMs }
  const { failedAttempts } = visit
  visit.exchange.upstream = {
    name,
    attempts: failedAttempts === undefined ? [last] : [...failedAttempts, last],
    durationMs: 0,
  }
  visit.exchange.outcome = 'forwarded'
}

/** It did not, or not in a way that can be passed on. */
export function noteUpstreamFailure(visit: Visit, name: string, error: GatewayError): void {
  const { server } = error.facts
  const last = { address: typeof server === 'string' ? server : name, error: error.proxyError }
  visit.exchange.upstream = {
    name,
    attempts: [...(visit.failedAttempts ?? []), last],
    durationMs: 0,
    ...(visit.isRetryBudgetSpent ? { retryBudgetExhausted: true } : {}),
  }
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
