import { createHash } from 'node:crypto'
import { GatewayError } from '../errors.ts'
import { headerValues, type RawHeaders } from '../http/headers.ts'

/** What a client's handshake is checked by. */
export interface HandshakeRequest {
  readonly method: string
  /** As `node:http` gives it: `1.1`. */
  readonly httpVersion: string
  readonly headers: RawHeaders
}

export interface Handshake {
  /** `Sec-WebSocket-Key`, 16 bytes in base64. */
  readonly key: string
}

const sixteenBytes = /^[A-Za-z0-9+/]{22}==$/

/** RFC 6455, section 1.3: what a key is joined with before it is hashed. */
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/**
 * Checks a client's handshake against RFC 6455, section 4.2.1. Whatever a server behind us might read in another way
 * is refused: another protocol beside or instead of `websocket`, a body (which would arrive as the first bytes of the
 * tunnel, or as a request of its own), repeated lines.
 *
 * @throws {GatewayError} `ERR_WEBSOCKET_HANDSHAKE`
 */
export function readHandshake({ method, httpVersion, headers }: HandshakeRequest): Handshake {
  if (method !== 'GET') throw refusal('the method is not GET')
  if (httpVersion !== '1.1') throw refusal('the version is not HTTP/1.1')
  if (only(headers, 'upgrade')?.toLowerCase() !== 'websocket') throw refusal('Upgrade is not websocket alone')
  if (!namesUpgrade(headers)) throw refusal('Connection does not name Upgrade')
  if (only(headers, 'sec-websocket-version') !== '13') throw refusal('the version of the protocol is not 13')
  if (headerValues(headers, 'content-length').length + headerValues(headers, 'transfer-encoding').length > 0) {
    throw refusal('the request has a body')
  }
  const key = readKey(headers)
  if (key === undefined) throw refusal('the key is not 16 bytes in base64')
  return { key }
}

/** The key of a handshake, `undefined` if there is not exactly one of 16 bytes. */
export function readKey(headers: RawHeaders): string | undefined {
  const key = only(headers, 'sec-websocket-key')
  return key !== undefined && sixteenBytes.test(key) ? key : undefined
}

/** The `Sec-WebSocket-Accept` that proves that the other side has read the key and speaks the protocol. */
export function acceptFor(key: string): string {
  return createHash('sha1').update(key).update(ACCEPT_SUFFIX).digest('base64')
}

/**
 * Whether the lines of a 101 open a WebSocket for that key (RFC 6455, section 4.1). A status of 101 alone proves
 * nothing: a cache or a confused app says it too, and then the client would speak to it in frames of its own choice.
 */
export function isAcceptance(headers: RawHeaders, key: string): boolean {
  return (
    only(headers, 'upgrade')?.toLowerCase() === 'websocket' &&
    namesUpgrade(headers) &&
    only(headers, 'sec-websocket-accept') === acceptFor(key)
  )
}

function only(headers: RawHeaders, name: string): string | undefined {
  const values = headerValues(headers, name)
  return values.length === 1 ? values[0] : undefined
}

function namesUpgrade(headers: RawHeaders): boolean {
  return headerValues(headers, 'connection').some((value) => /(?:^|,)[\t ]*upgrade[\t ]*(?:,|$)/i.test(value))
}

function refusal(message: string): GatewayError {
  return new GatewayError('ERR_WEBSOCKET_HANDSHAKE', message)
}
