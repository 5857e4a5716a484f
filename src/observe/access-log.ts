import { errorTable } from '../errors.ts'
import { createAccessLine } from './access-line.ts'
import { type Exchange, localReasonOf, overheadMs } from './exchange.ts'
import { failureFields } from './failure.ts'
import type { LogFields, TextLog } from './log.ts'

export interface AccessLogOptions {
  readonly log: TextLog
  /** `logging.access`. When off, only requests that ended in an error of status 500 or above get their line. */
  readonly isEnabled: boolean
}

/**
 * Writes one `"msg":"request"` line per exchange. Names follow OpenTelemetry's semantic conventions where one exists.
 * The query is not among them, nor is anything that a session holds.
 */
export function createAccessLog({ log, isEnabled }: AccessLogOptions): (exchange: Exchange) => void {
  const write = log.prepare('info', 'request')
  const accessLine = createAccessLine()
  return function record(exchange) {
    const level = levelOf(exchange)
    if (!isEnabled && level === 'info') return
    const line = accessLine(exchange)
    if (line === undefined) log[level]('request', accessFields(exchange))
    else write(line)
  }
}

/** A bug is an error, a failure that somebody has to look after a warning; what a visitor did is neither. */
function levelOf({ error }: Exchange): 'info' | 'warn' | 'error' {
  if (error === undefined || errorTable[error.code].status < 500) return 'info'
  return error.code === 'ERR_INTERNAL' ? 'error' : 'warn'
}

/** Members that are `undefined` are left out of the line. */
export function accessFields(exchange: Exchange): LogFields {
  const { session, decision, upstream } = exchange
  const attempt = upstream?.attempts.at(-1)
  const fields: LogFields = {
    'request.id': exchange.requestId,
    trace_id: exchange.traceId,
    'client.address': exchange.clientAddress,
    'network.peer.address': exchange.peerAddress,
    'http.request.method': exchange.method,
    'url.scheme': exchange.scheme,
    'server.address': exchange.host,
    'url.path': exchange.path,
    'http.route': exchange.routeId,
    'http.response.status_code': exchange.status,
    'http.request.body.size': exchange.requestBodyBytes,
    'http.response.body.size': exchange.responseBodyBytes,
    duration_ms: rounded(exchange.durationMs),
    overhead_ms: rounded(overheadMs(exchange)),
    'upstream.name': upstream?.name,
    'upstream.address': attempt?.address,
    'upstream.status': attempt?.status,
    'upstream.duration_ms': upstream === undefined ? undefined : rounded(upstream.durationMs),
    'upstream.attempts': upstream?.attempts.length,
    outcome: exchange.outcome,
    'local.reason': localReasonOf(exchange),
    'auth.decision': decision === undefined ? undefined : decision.outcome === 'allow' ? 'allow' : 'deny',
    'auth.reason': decision?.reason,
    'auth.mode': decision?.mode === 'observe' ? 'observe' : undefined,
    'session.state': session?.result,
    'session.id_hash': session?.idHash,
    'writeback.result': exchange.writeback,
    'user_agent.original': exchange.userAgent,
  }
  return exchange.error === undefined ? fields : { ...fields, ...errorFields(exchange.error) }
}

function errorFields(error: NonNullable<Exchange['error']>): LogFields {
  const behind = error.cause === undefined ? {} : failureFields(error.cause)
  return {
    'error.type': error.code,
    'error.message': error.message,
    'error.facts': Object.keys(error.facts).length === 0 ? undefined : error.facts,
    'error.cause': behind['error.type'],
    'error.cause_message': behind['error.message'],
    'error.causes': behind['error.causes'],
    'error.stack': error.code === 'ERR_INTERNAL' ? behind['error.stack'] : undefined,
  }
}

/** Microseconds are enough; more digits only lengthen the line. */
function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000
}
