import { drawDigits, type RandomDigits } from '../lib/random-digits.ts'
import { headerValues, type RawHeaders } from './headers.ts'

/** A request's place in a distributed trace: W3C Trace Context, section 3.2. */
export interface Traceparent {
  /** 32 lower-case hex digits; the log's `trace_id`. */
  readonly traceId: string
  /** 16 lower-case hex digits: the caller's span. */
  readonly parentId: string
  /** The caller may have recorded it; apps that sample by their parent go by this. */
  readonly isSampled: boolean
  /** The header's value. */
  readonly text: string
}

const NO_TRACE = '0'.repeat(32)
const NO_PARENT = '0'.repeat(16)

/**
 * A `traceparent` value. Version 00 has exactly four fields; a later version may have more behind them, version ff is
 * forbidden, and so are ids of zeros alone.
 */
export function parseTraceparent(text: string): Traceparent | undefined {
  if (text.length > 512) return undefined
  const fields = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x21-\x7e]*)?$/.exec(text)
  if (fields === null) return undefined
  const [, version, traceId = '', parentId = '', flags = '', more] = fields
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined
  if (traceId === NO_TRACE || parentId === NO_PARENT) return undefined
  return { traceId, parentId, isSampled: (Number.parseInt(flags, 16) & 1) === 1, text }
}

/**
 * The beginning of a trace. It says sampled, since apps sample by their parent: without this header they would decide by
 * themselves, and "not sampled" from a gateway that records no spans would turn their tracing off.
 */
export function newTraceparent(digits: RandomDigits = drawDigits): Traceparent {
  const traceId = nonZero(digits(32), NO_TRACE)
  const parentId = nonZero(digits(16), NO_PARENT)
  return { traceId, parentId, isSampled: true, text: `00-${traceId}-${parentId}-01` }
}

/**
 * What goes up where no spans are recorded: the one well-formed line that came, unchanged, since the gateway then adds no
 * span of its own to the trace that could be anybody's parent; else a new one. Several lines are none (section 3.2.1).
 */
export function nextTraceparent(raw: RawHeaders, digits: RandomDigits = drawDigits): Traceparent {
  return receivedTraceparent(raw) ?? newTraceparent(digits)
}

/** The one well-formed line that came; undefined for none, and for several. */
export function receivedTraceparent(raw: RawHeaders): Traceparent | undefined {
  const lines = headerValues(raw, 'traceparent')
  return lines.length === 1 ? parseTraceparent(lines[0] ?? '') : undefined
}

/** An id of zeros alone is invalid: one bit set costs nothing that anybody will notice. */
function nonZero(id: string, zeros: string): string {
  return id === zeros ? `${id.slice(0, -1)}1` : id
}
