import { METHODS } from 'node:http'
import { GatewayError } from '../errors.ts'
import { headerKey, isToken, type RawHeaders, rememberNames } from './headers.ts'

/** How a request's body is delimited, in the one reading that everybody shares. */
export interface Framing {
  /** A Content-Length above 0, or chunked. */
  readonly hasBody: boolean
  /** Bytes; absent for a chunked body and for a request that names none. */
  readonly contentLength?: number
}

/** More lines than any browser sends; every line costs time in each step after this. */
const MAX_HEADER_LINES = 100

/** What the gateway's parser knows; anything else is no name that a rule, an app or a metric could have meant. */
const knownMethods: ReadonlySet<string> = new Set(METHODS)

/**
 * The headers that the gateway acts on. Of two lines one reader takes the first, another the last, a third joins them,
 * so a second line lets a request be judged as one thing and served as another.
 */
const singleHeaders: readonly string[] = [
  'host',
  'content-length',
  'transfer-encoding',
  'expect',
  'upgrade',
  'origin',
  'referer',
  'sec-fetch-mode',
  'sec-fetch-site',
  'sec-fetch-dest',
  'sec-websocket-key',
  'sec-websocket-version',
  'x-requested-with',
]

/**
 * Where the body of a request ends (RFC 9112, section 6), and whether the head as a whole is one that we serve. Request
 * smuggling lives on heads that two programs delimit differently, so all that has a second reading is refused: two
 * lengths, a length that is not a plain decimal, a length beside chunked, any coding but `chunked`, chunked in HTTP/1.0.
 *
 * @throws {GatewayError} `ERR_HTTP_VERSION`, `ERR_HEADERS_TOO_LARGE`, `ERR_METHOD_NOT_ALLOWED`, `ERR_HOST_INVALID`,
 * `ERR_TRANSFER_CODING`, `ERR_WEBSOCKET_HANDSHAKE`, `ERR_EXPECTATION_FAILED`, else `ERR_REQUEST_INVALID`
 */
export function readFraming(method: string, httpVersion: string, raw: RawHeaders): Framing {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    throw new GatewayError('ERR_HTTP_VERSION', 'neither HTTP/1.1 nor HTTP/1.0')
  }
  const lines = readSingleLines(raw)
  const framing = readBody(httpVersion, lines)
  checkMethod(method, framing)
  checkUpgrade(method, framing, lines.upgrade)
  checkExpect(lines.expect)
  return framing
}

/** Those of the lines that may stand only once which tell how the request is read. */
interface SingleLines {
  contentLength: string | undefined
  transferEncoding: string | undefined
  expect: string | undefined
  upgrade: string | undefined
}

/** What a name means here. */
interface NameClass {
  /** In lower case. */
  readonly name: string
  /** One bit for each of `singleHeaders`; 0 for others. */
  readonly bit: number
  /** What another reader may take it for, and it is not. */
  readonly misspelt: string | undefined
}

const classOf = rememberNames(classify)

function classify(received: string): NameClass {
  const name = received.toLowerCase()
  const at = singleHeaders.indexOf(name)
  if (at >= 0) return { name, bit: 1 << at, misspelt: undefined }
  const key = headerKey(name)
  return { name, bit: 0, misspelt: key === 'content-length' || key === 'transfer-encoding' ? key : undefined }
}

/**
 * The lines that may stand only once. Besides duplicates this refuses `Content_Length` and its like: a reader that takes
 * `_` for `-`, as CGI does, would see a second length, and one that nobody here has checked.
 */
function readSingleLines(raw: RawHeaders): SingleLines {
  if (raw.length > MAX_HEADER_LINES * 2) {
    throw new GatewayError('ERR_HEADERS_TOO_LARGE', `${Math.ceil(raw.length / 2)} header lines`)
  }
  const lines: SingleLines = {
    contentLength: undefined,
    transferEncoding: undefined,
    expect: undefined,
    upgrade: undefined,
  }
  let seen = 0
  for (let i = 0; i < raw.length; i += 2) {
    const { name, bit, misspelt } = classOf(raw[i] ?? '')
    if (misspelt !== undefined) throw invalid(`${misspelt} misspelt`)
    if (bit === 0) continue
    if ((seen & bit) !== 0) {
      throw new GatewayError(name === 'host' ? 'ERR_HOST_INVALID' : 'ERR_REQUEST_INVALID', `several ${name} lines`)
    }
    seen |= bit
    note(lines, name, raw[i + 1] ?? '')
  }
  return lines
}

function note(lines: SingleLines, name: string, value: string): void {
  if (name === 'content-length') lines.contentLength = value
  else if (name === 'transfer-encoding') lines.transferEncoding = value
  else if (name === 'expect') lines.expect = value
  else if (name === 'upgrade') lines.upgrade = value
}

function readBody(httpVersion: string, lines: SingleLines): Framing {
  const { contentLength: length, transferEncoding: coding } = lines
  if (coding === undefined) {
    if (length === undefined) return { hasBody: false }
    const contentLength = parseContentLength(length)
    if (contentLength === undefined) throw invalid('Content-Length is not a plain decimal')
    return { hasBody: contentLength > 0, contentLength }
  }
  // RFC 9112, section 6.3, lets a server drop the length instead. Whoever stood in front may have believed it.
  if (length !== undefined) throw invalid('Content-Length and Transfer-Encoding together')
  if (httpVersion === '1.0') throw invalid('Transfer-Encoding in HTTP/1.0')
  checkCoding(coding)
  return { hasBody: true }
}

/** RFC 9110, section 8.6, narrowed to the one way to write each number: no sign, no leading zero, no list. */
function parseContentLength(text: string): number | undefined {
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text)) return undefined
  const length = Number(text)
  return Number.isSafeInteger(length) ? length : undefined
}

/** 501 is for a coding that is well delimited and not ours (RFC 9112, section 6.1); all other spellings are 400. */
function checkCoding(coding: string): void {
  if (/^chunked$/i.test(coding)) return
  const codings = coding.split(',').map((name) => name.trim().toLowerCase())
  const others = codings.slice(0, -1)
  const isDelimited = others.length > 0 && codings.at(-1) === 'chunked'
  if (isDelimited && others.every((name) => /^(?!chunked$)[a-z0-9-]+$/.test(name))) {
    throw new GatewayError('ERR_TRANSFER_CODING', 'a transfer coding before chunked')
  }
  throw invalid('Transfer-Encoding is not exactly chunked')
}

/**
 * A body where apps expect none stays unread in their socket and becomes the next request, so GET, HEAD, TRACE and
 * CONNECT have none. `TRACE` would give the browser's page what only the app may see; `CONNECT` is no way to an app.
 */
function checkMethod(method: string, framing: Framing): void {
  if (!isToken(method)) throw invalid('the method is not a token')
  if (framing.hasBody && (method === 'GET' || method === 'HEAD' || method === 'TRACE' || method === 'CONNECT')) {
    throw invalid(`${method} with a body`)
  }
  if (!knownMethods.has(method) || method === 'TRACE' || method === 'CONNECT') {
    throw new GatewayError('ERR_METHOD_NOT_ALLOWED', 'a method that is not served')
  }
}

/**
 * With an upgrade `node:http` hands over whatever follows the head as bytes of the new protocol, a body and a pipelined
 * request included. Other upgrades (`h2c`, which Java's client offers with every request) are ignored, as RFC 9110,
 * section 7.8, allows, and their requests are served as they stand, each as the last of its connection (`server/listener.ts`).
 */
function checkUpgrade(method: string, framing: Framing, protocol: string | undefined): void {
  if (protocol === undefined || !protocol.toLowerCase().includes('websocket')) return
  if (method !== 'GET' || framing.hasBody) {
    throw new GatewayError('ERR_WEBSOCKET_HANDSHAKE', 'a WebSocket handshake with a body or a method other than GET')
  }
}

/** RFC 9110, section 10.1.1: there is one expectation, and the gateway answers it itself. */
function checkExpect(expectation: string | undefined): void {
  if (expectation !== undefined && expectation.toLowerCase() !== '100-continue') {
    throw new GatewayError('ERR_EXPECTATION_FAILED', 'an expectation other than 100-continue')
  }
}

function invalid(message: string): GatewayError {
  return new GatewayError('ERR_REQUEST_INVALID', message)
}
