import { isToken, rememberNames } from '../http/headers.ts'
import type { UpstreamRequest } from './upstream.ts'

/** Those whose requests have a length even without a body (RFC 9110, section 8.6). */
const methodsWithContent: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'PROPFIND', 'PROPPATCH', 'QUERY'])

const forwardableMethod = /^(?!CONNECT$)[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const originForm = /^\/[\x21-\x7e]*$/
/**
 * What would end a line before its time, and what does not fit into a byte: U+010A would be written as a line feed.
 * Other controls do not get this far, and let nobody say anything that he could not say without them.
 */
const breaksLine = /[\0\r\n\u0100-\uffff]/

/** The end of a head, with the line that says how long the body is. */
export const CHUNKED_BODY = 'transfer-encoding: chunked\r\n\r\n'

/** The end of a head whose body has so many bytes. */
export function sizedBody(byteCount: number): string {
  return `content-length: ${byteCount}\r\n\r\n`
}

/** The end of the head of a request without a body. */
export function noBody(method: string): string {
  return method !== 'GET' && methodsWithContent.has(method) ? sizedBody(0) : '\r\n'
}

/**
 * The head of a request but for the line that frames its body and the empty line; one character a byte. `Host` comes
 * first, and of the other lines those that belong to one connection are left out.
 *
 * What is refused here the floors above have made sure of long before; if not, the request must not leave the house.
 *
 * @param ownHost stands in place of the request's `Host`, where it is given
 * @throws {TypeError} for a head that would be read as something else than what was decided upon.
 */
export function requestHead({ method, target, headers }: UpstreamRequest, ownHost?: string): string {
  requireRequestLine(method, target)
  let host: string | undefined
  let lines = ''
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? ''
    const value = headers[i + 1] ?? ''
    const { kind } = classOf(name)
    if (kind === 'no token') throw new TypeError('a header name is not a token')
    if (breaksLine.test(value)) throw new TypeError('a header value has a line break, a NUL or no byte for a character')
    if (kind === 'passed on') lines += `${name}: ${value}\r\n`
    else if (kind === 'host') {
      if (host !== undefined) throw oneHost()
      host = ownHost ?? value
    }
  }
  if (host === undefined) throw oneHost()
  return `${method} ${target} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n${lines}`
}

/**
 * Throws as `requestHead` does, for undici, which writes the head itself and refuses what it cannot write.
 *
 * @throws {TypeError}
 */
export function requireSendable({ method, target, headers }: UpstreamRequest): void {
  requireRequestLine(method, target)
  let hosts = 0
  for (let i = 0; i < headers.length; i += 2) if (isHost(headers[i] ?? '')) hosts += 1
  if (hosts !== 1) throw oneHost()
}

function requireRequestLine(method: string, target: string): void {
  if (method !== 'GET' && !forwardableMethod.test(method))
    throw new TypeError('the method is not one that can be forwarded')
  if (!originForm.test(target)) throw new TypeError('the target is not in origin form')
}

function oneHost(): TypeError {
  return new TypeError('the request needs exactly one Host')
}

/** Whether it is the line of which a request has exactly one. */
export function isHost(name: string): boolean {
  return name.length === 4 && name.toLowerCase() === 'host'
}

/** What becomes of a line. */
interface NameClass {
  readonly kind: 'passed on' | 'host' | 'of one connection' | 'no token'
}

const classOf = rememberNames((name): NameClass => {
  if (!isToken(name)) return { kind: 'no token' }
  if (isHost(name)) return { kind: 'host' }
  return { kind: isOwnedByConnection(name) ? 'of one connection' : 'passed on' }
})

/**
 * RFC 9110, section 7.6.1, and what frames a message: it is true of one connection only, so it is never passed on. By
 * length, so that nearly every name is let through without being put in lower case first.
 */
const ownedByConnection: readonly (readonly string[] | undefined)[] = byLength([
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Whether a line of that name is written anew for each connection. */
export function isOwnedByConnection(name: string): boolean {
  return ownedByConnection[name.length]?.includes(name.toLowerCase()) ?? false
}

function byLength(names: readonly string[]): (readonly string[] | undefined)[] {
  const longest = Math.max(...names.map((name) => name.length))
  return Array.from({ length: longest + 1 }, (_, length) => {
    const some = names.filter((name) => name.length === length)
    return some.length === 0 ? undefined : some
  })
}
