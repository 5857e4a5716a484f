import { isIPv4, isIPv6 } from 'node:net'
import { GatewayError } from '../errors.ts'
import { headerValues, type RawHeaders } from './headers.ts'

/** Who a request says it is for. */
export interface Host {
  /** Lower-case, without the port; an IPv6 address in brackets and in its shortest form. */
  readonly name: string
  /** 0 to 65535; absent where none was written. */
  readonly port?: number
  /** As it was written, port and case included. It holds nothing but host characters, so it may go into a header. */
  readonly received: string
}

/** 253 characters of a DNS name (RFC 1035, section 2.3.4) or an IPv6 address, a colon, five digits. */
const MAX_HOST_CHARACTERS = 259

/** RFC 1035, section 2.3.4. */
const MAX_NAME_CHARACTERS = 253

/**
 * A host, with or without a port. Accepted is what has one reading everywhere: DNS names (an underscore is tolerated,
 * people have them), dotted IPv4, IPv6 in brackets. Not accepted, though RFC 3986 would: percent-encoding and sub-delims
 * in a name, an empty port, a leading zero in a port, a zone id. Nor what resolvers and URL parsers read in different
 * ways: a trailing dot (`api.x.` is `api.x` for DNS and another host for a rule), and names that end in a number without
 * being an IPv4 address (`127.1`, `0x7f000001`, `010.0.0.1` are all loopback to somebody).
 */
export function parseHost(text: string): Host | undefined {
  if (text.length > MAX_HOST_CHARACTERS) return undefined
  const parts = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(0|[1-9][0-9]{0,4}))?$/.exec(text)
  if (parts?.[1] === undefined) return undefined
  const name = parts[1].startsWith('[') ? parseBracketed(parts[1]) : parseName(parts[1])
  if (name === undefined) return undefined
  if (parts[2] === undefined) return { name, received: text }
  const port = Number(parts[2])
  return port > 65535 ? undefined : { name, port, received: text }
}

/**
 * The host of a request. RFC 9112, section 3.2, demands exactly one line with a valid value and 400 for anything else;
 * `node:http` takes the first of two and lets `a, b`, `a@b` and the empty value through. A request of HTTP/1.0 without
 * one is refused too: there is no default host here that it could mean.
 *
 * @param parse default `parseHost`; somebody who reads many may remember what it said
 * @throws {GatewayError} `ERR_HOST_INVALID`
 */
export function readHost(
  raw: RawHeaders,
  httpVersion: string,
  parse: (text: string) => Host | undefined = parseHost,
): Host {
  const lines = headerValues(raw, 'host')
  const [line] = lines
  if (line === undefined || lines.length > 1) {
    throw new GatewayError('ERR_HOST_INVALID', `${lines.length} Host lines in a request of HTTP/${httpVersion}`)
  }
  const host = parse(line)
  if (host === undefined) throw new GatewayError('ERR_HOST_INVALID', 'the Host line holds no acceptable host')
  return host
}

/** One spelling for each address: `[0:0::1]` and `[::1]` are one host, so they must match one rule. */
function parseBracketed(text: string): string | undefined {
  return isIPv6(text.slice(1, -1)) ? new URL(`http://${text}/`).hostname : undefined
}

function parseName(text: string): string | undefined {
  const name = text.toLowerCase()
  const labels = name.split('.')
  if (name.length > MAX_NAME_CHARACTERS || labels.some((label) => label === '' || label.length > 63)) return undefined
  const last = labels.at(-1) ?? ''
  if (/^(?:[0-9]+|0x[0-9a-f]*)$/.test(last) && !isIPv4(name)) return undefined
  return name
}
