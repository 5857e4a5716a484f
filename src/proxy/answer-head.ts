import { STATUS_CODES } from 'node:http'
import type { ErrorFacts } from '../errors.ts'
import { isToken, type RawHeaders, rememberNames } from '../http/headers.ts'
import { unusableAnswer } from './failure.ts'

/** The head of an answer, when it may be passed on. */
export interface AnswerHead {
  readonly status: number
  readonly reason: string
  readonly headers: RawHeaders
  readonly contentLength: number | undefined
  /** How the body is framed, where there is one: `sized` is `contentLength`, which is 0 where there is none. */
  readonly framing: 'sized' | 'chunked' | 'until-close'
  /** The lines of a 204 or a 304 speak of a body; nobody knows whether one follows (RFC 9112, section 6.3). */
  readonly isLengthDoubtful: boolean
  /** `Connection: close`, in whatever company. */
  readonly mustClose: boolean
  /** `Keep-Alive: timeout=`: how long the server keeps the connection, in seconds, where it says so. */
  readonly keepAliveSeconds: number | undefined
}

/** What the parser gave. */
export interface ReceivedHead {
  /** Of the request: an answer to HEAD has no body. */
  readonly method: string
  readonly status: number
  readonly reason: string
  readonly lines: RawHeaders
}

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

/** What the lines of a head say that concerns the connection. */
interface Framing {
  lengths: number
  length: string
  codings: number
  coding: string
  trailers: number
  mustClose: boolean
  keepAliveSeconds: number | undefined
}

/**
 * Decides whether a final answer may be passed on, and how long its body is.
 *
 * Parsers accept more than can be handed on without guessing: any three digits as a status, `Transfer-Encoding: gzip`
 * (whose coding would be lost with the line), `Content-Length: 007`. Whoever repairs such a head tells the client
 * something else than the app said, so it is refused (RFC 9112, section 6.3).
 *
 * @throws {GatewayError} `ERR_UPSTREAM_PROTOCOL`
 */
export function readAnswerHead({ method, status, reason, lines }: ReceivedHead, facts: ErrorFacts): AnswerHead {
  if (status < 200 || status > 599) throw unusableAnswer(`status ${status}`, facts)
  const framing = readFraming(lines, facts)
  const length = lengthOf(framing, facts)
  const isWithoutContent = status === 204
  const isBodiless = method === 'HEAD' || isWithoutContent || status === 304
  const hasCuts = framing.codings > 0 || framing.trailers > 0 || (isWithoutContent && framing.lengths > 0)
  return {
    status,
    reason: readableReason(status, reason),
    headers: hasCuts ? withoutFraming(lines, isWithoutContent) : lines,
    contentLength: isBodiless ? 0 : length,
    framing: isBodiless || length !== undefined ? 'sized' : framing.codings > 0 ? 'chunked' : 'until-close',
    isLengthDoubtful: isBodiless && method !== 'HEAD' && (framing.codings > 0 || (length ?? 0) > 0),
    mustClose: framing.mustClose,
    keepAliveSeconds: framing.keepAliveSeconds,
  }
}

function readFraming(lines: RawHeaders, facts: ErrorFacts): Framing {
  const found: Framing = {
    lengths: 0,
    length: '',
    codings: 0,
    coding: '',
    trailers: 0,
    mustClose: false,
    keepAliveSeconds: undefined,
  }
  for (let i = 0; i < lines.length; i += 2) {
    const value = lines[i + 1] ?? ''
    const { isToken, framingName } = classOf(lines[i] ?? '')
    // The parser lets none of these through; were that to change, a line break here would be a second answer.
    if (!isToken) throw unusableAnswer('a header name is not a token', facts)
    if (outsideFieldValue.test(value)) throw unusableAnswer('a header value has a control character', facts)
    if (framingName !== undefined) note(found, framingName, value)
  }
  return found
}

const framingNames = ['trailer', 'connection', 'keep-alive', 'content-length', 'transfer-encoding'] as const
type FramingName = (typeof framingNames)[number]

/** What a name means here; `framingName` is undefined for nearly all of them. */
interface NameClass {
  readonly isToken: boolean
  readonly framingName: FramingName | undefined
}

const classOf = rememberNames((name): NameClass => {
  const lower = name.toLowerCase()
  return { isToken: isToken(name), framingName: framingNames.find((framingName) => framingName === lower) }
})

function note(found: Framing, name: FramingName, value: string): void {
  switch (name) {
    case 'trailer':
      found.trailers += 1
      break
    case 'connection':
      // A word that only contains it costs a connection; one that is overlooked would cost an answer.
      if (value !== 'keep-alive' && /close/i.test(value)) found.mustClose = true
      break
    case 'keep-alive':
      noteKeepAlive(found, value)
      break
    case 'content-length':
      found.lengths += 1
      found.length = value
      break
    case 'transfer-encoding':
      found.codings += 1
      found.coding = value
  }
}

function noteKeepAlive(found: Framing, value: string): void {
  const seconds = /timeout=([0-9]{1,9})/i.exec(value)?.[1]
  if (seconds !== undefined) found.keepAliveSeconds = Number(seconds)
}

/** The length of the body, `undefined` if it is chunked or ends with the connection (RFC 9112, section 6.3). */
function lengthOf({ codings, coding, lengths, length }: Framing, facts: ErrorFacts): number | undefined {
  if (codings > 0) {
    const isChunked = codings === 1 && coding.toLowerCase() === 'chunked'
    if (!isChunked || lengths > 0) throw unusableAnswer('the framing of the answer is ambiguous', facts)
    return undefined
  }
  if (lengths === 0) return undefined
  if (lengths > 1 || !canonicalLength.test(length) || !Number.isSafeInteger(Number(length))) {
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
  if (received === standard || standard.endsWith(received)) return standard
  return /^[\x20-\x7e]*$/.test(received) ? received : ''
}
