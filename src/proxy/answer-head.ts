import { STATUS_CODES } from 'node:http'
import type { ErrorFacts } from '../errors.ts'
import { headerValues, type RawHeaders } from '../http/headers.ts'
import { unusableAnswer } from './failure.ts'

/** The head of an answer, when it may be passed on. */
export interface AnswerHead {
  readonly status: number
  readonly reason: string
  readonly headers: RawHeaders
  readonly contentLength: number | undefined
}

/** What undici's parser gave. */
export interface ReceivedHead {
  /** Of the request: an answer to HEAD has no body. */
  readonly method: string
  readonly status: number
  readonly reason: string
  readonly lines: RawHeaders
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const outsideFieldValue = /[^\t\x20-\x7e\x80-\xff]/
const canonicalLength = /^(?:0|[1-9][0-9]{0,15})$/

/** Turns the parser's buffers into text, one character a byte, without the white space that it leaves at the end. */
export function linesOf(buffers: readonly (Buffer | string)[]): string[] {
  return buffers.map((buffer) => {
    const text = typeof buffer === 'string' ? buffer : buffer.toString('latin1')
    // Not by pattern: one that looks for the end tries every space of a long run within the value.
    let end = text.length
    while (end > 0 && (text[end - 1] === ' ' || text[end - 1] === '\t')) end -= 1
    return text.slice(0, end)
  })
}

/**
 * Decides whether a final answer may be passed on, and how long its body is.
 *
 * undici accepts more than can be handed on without guessing: any three digits as a status, `Transfer-Encoding: gzip`
 * (whose coding would be lost with the line), `Content-Length: 007`. Whoever repairs such a head tells the client
 * something else than the app said, so it is refused (RFC 9112, section 6.3).
 *
 * @throws {GatewayError} `ERR_UPSTREAM_PROTOCOL`
 */
export function readAnswerHead(head: ReceivedHead, facts: ErrorFacts): AnswerHead {
  const { status, lines } = head
  if (status < 200 || status > 599) throw unusableAnswer(`status ${status}`, facts)
  requireFieldLines(lines, facts)
  const isBodiless = head.method === 'HEAD' || status === 204 || status === 304
  const contentLength = readFraming(lines, facts)
  return {
    status,
    reason: readableReason(status, head.reason),
    headers: withoutFraming(lines, status === 204),
    contentLength: isBodiless ? 0 : contentLength,
  }
}

/** The parser lets none of these through; were that to change, a line break here would be a second answer. */
function requireFieldLines(lines: RawHeaders, facts: ErrorFacts): void {
  for (let i = 0; i < lines.length; i += 2) {
    if (!token.test(lines[i] ?? '')) throw unusableAnswer('a header name is not a token', facts)
    if (outsideFieldValue.test(lines[i + 1] ?? ''))
      throw unusableAnswer('a header value has a control character', facts)
  }
}

/** The length of the body, `undefined` if it is chunked or ends with the connection (RFC 9112, section 6.3). */
function readFraming(lines: RawHeaders, facts: ErrorFacts): number | undefined {
  const codings = headerValues(lines, 'transfer-encoding')
  const lengths = headerValues(lines, 'content-length')
  if (codings.length > 0) {
    const isChunked = codings.length === 1 && codings[0]?.toLowerCase() === 'chunked'
    if (!isChunked || lengths.length > 0) throw unusableAnswer('the framing of the answer is ambiguous', facts)
    return undefined
  }
  const [length] = lengths
  if (length === undefined) return undefined
  if (lengths.length > 1 || !canonicalLength.test(length) || !Number.isSafeInteger(Number(length))) {
    throw unusableAnswer('the length of the answer is not one plain number', facts)
  }
  return Number(length)
}

function withoutFraming(lines: RawHeaders, isWithoutContent: boolean): RawHeaders {
  const kept: string[] = []
  for (let i = 0; i < lines.length; i += 2) {
    const name = lines[i] ?? ''
    if (isFraming(name, isWithoutContent)) continue
    kept.push(name, lines[i + 1] ?? '')
  }
  return kept
}

function isFraming(name: string, isWithoutContent: boolean): boolean {
  switch (name.length) {
    case 7:
      return name.toLowerCase() === 'trailer'
    case 14:
      return isWithoutContent && name.toLowerCase() === 'content-length'
    case 17:
      return name.toLowerCase() === 'transfer-encoding'
    default:
      return false
  }
}

/**
 * The reason phrase, if it is printable ASCII. Of a status line that arrives in pieces undici keeps the last one, which
 * may be empty: whatever ends the standard phrase is taken for that. No client acts on it (RFC 9112, section 4).
 */
function readableReason(status: number, received: string): string {
  const standard = STATUS_CODES[status] ?? ''
  if (standard.endsWith(received)) return standard
  return /^[\x20-\x7e]*$/.test(received) ? received : ''
}
