import { type Exchange, localReasonOf, overheadMs } from './exchange.ts'
import { MAX_LINE_CHARACTERS, quoted } from './json-text.ts'

/**
 * Writes what a log line tells of an exchange: to the last character what `JSON.stringify(accessFields(exchange))` gives,
 * without the opening brace, for a quarter of the time (`bench/log-line.ts`). Every request has such a line, and most
 * have the same kind of texts in it: numbers, words of ours, and strings that need no escaping.
 *
 * `undefined` where that is the better way: for errors, and for lines that are too long to be written whole.
 */
export function createAccessLine(): (exchange: Exchange) => string | undefined {
  const client = createQuoter()
  const peer = createQuoter()
  const host = createQuoter()
  const agent = createQuoter()
  return function accessLine(exchange) {
    if (exchange.error !== undefined) return undefined
    const { traceId, path, userAgent, status, upstream } = exchange
    let line = `"request.id":${quoted(exchange.requestId)}`
    if (traceId !== undefined) line += `,"trace_id":${quoted(traceId)}`
    line += `,"client.address":${client(exchange.clientAddress)},"network.peer.address":${peer(exchange.peerAddress)}`
    line += `,"http.request.method":${quoted(exchange.method)},"url.scheme":"${exchange.scheme}"`
    if (exchange.host !== undefined) line += `,"server.address":${host(exchange.host)}`
    if (path !== undefined) line += `,"url.path":${quoted(path)}`
    if (exchange.routeId !== undefined) line += `,"http.route":${quoted(exchange.routeId)}`
    if (status !== undefined) line += `,"http.response.status_code":${numeral(status)}`
    line += `,"http.request.body.size":${numeral(exchange.requestBodyBytes)}`
    line += `,"http.response.body.size":${numeral(exchange.responseBodyBytes)}`
    line += `,"duration_ms":${thousandths(exchange.durationMs)},"overhead_ms":${thousandths(overheadMs(exchange))}`
    if (upstream !== undefined) line += upstreamMembers(upstream)
    line += `,"outcome":"${exchange.outcome}"${sessionMembers(exchange)}`
    if (userAgent !== undefined) line += `,"user_agent.original":${agent(userAgent)}`
    line += '}'
    return line.length > MAX_LINE_CHARACTERS ? undefined : line
  }
}

function upstreamMembers({ name, attempts, durationMs }: NonNullable<Exchange['upstream']>): string {
  const last = attempts.at(-1)
  let text = `,"upstream.name":${quoted(name)}`
  if (last !== undefined) text += `,"upstream.address":${quoted(last.address)}`
  if (last?.status !== undefined) text += `,"upstream.status":${numeral(last.status)}`
  return `${text},"upstream.duration_ms":${thousandths(durationMs)},"upstream.attempts":${attempts.length}`
}

/** Our own words, which need no look: what was decided, and with which session. */
function sessionMembers(exchange: Exchange): string {
  const { decision, session, writeback } = exchange
  const reason = localReasonOf(exchange)
  let text = reason === undefined ? '' : `,"local.reason":"${reason}"`
  if (decision !== undefined) {
    const verdict = decision.outcome === 'allow' ? 'allow' : 'deny'
    text += `,"auth.decision":"${verdict}","auth.reason":"${decision.reason}"`
    if (decision.mode === 'observe') text += ',"auth.mode":"observe"'
  }
  if (session !== undefined) {
    text += `,"session.state":"${session.result}"`
    if (session.idHash !== undefined) text += `,"session.id_hash":${quoted(session.idHash)}`
  }
  return writeback === undefined ? text : `${text},"writeback.result":"${writeback}"`
}

/** Remembers the last text: requests of one client, and of one browser, come in rows. */
function createQuoter(): (text: string) => string {
  let last = ''
  let lastQuoted = '""'
  return function quote(text) {
    if (text !== last) {
      lastQuoted = quoted(text)
      last = text
    }
    return lastQuoted
  }
}

/** JSON has no NaN and no infinities. */
function numeral(value: number): string {
  return Number.isFinite(value) ? `${value}` : 'null'
}

/** What stands behind the whole: `''`, `.001` to `.999`, without zeros at the end. */
const fractions: readonly string[] = Array.from({ length: 1000 }, (_, i) => String(i / 1000).slice(1))

/** Milliseconds to three places: microseconds are enough, and more digits only lengthen the line. */
function thousandths(milliseconds: number): string {
  const micros = Math.round(milliseconds * 1000)
  // The shortest way to write any other number is the engine's secret, and costs three times as much.
  if (!(micros >= 0 && micros < 1e12)) return numeral(micros / 1000)
  const rest = micros % 1000
  return `${(micros - rest) / 1000}${fractions[rest] ?? ''}`
}
