import { parseAddress } from './addresses.ts'
import { parseForwarded } from './forwarded-elements.ts'
import { hasHeader, headerValues, type RawHeaders } from './headers.ts'
import { type Host, parseHost } from './host.ts'
import { parseRequestId } from './request-id.ts'

/** How the browser's side of a request is carried. */
export type Scheme = 'http' | 'https'

/** The connection that a request came on. */
export interface Arrival {
  /** The address of the socket's other end; undefined or `''` on a Unix socket. */
  readonly peer: string | undefined
  /** By `compileTrust`. */
  readonly isTrusted: (address: string | undefined) => boolean
  /** The listener speaks TLS. */
  readonly isTls: boolean
  /** By `readHost`. */
  readonly host: Host
}

/** Who the browser is and what it asked for, as far as somebody we trust vouches for it. */
export interface ForwardedFacts {
  /** In its one spelling (`parseAddress`); `unix` for a peer on a Unix socket that names nobody else. */
  readonly clientIp: string
  /** The browser's side. */
  readonly scheme: Scheme
  /** Name and port as the browser wrote them in Host. Routes go by the request's own Host line, not by this. */
  readonly host: string
  /** The port that the browser connected to. */
  readonly port: number
  /** Scheme, name and port as a browser writes an origin: lower-case, without a default port. */
  readonly origin: string
  /** Only from a trusted proxy. */
  readonly requestId?: string
  /** What goes up as X-Forwarded-For: the hops of a trusted proxy as received, then the peer. */
  readonly hops: readonly string[]
}

/**
 * The client's address: walks `X-Forwarded-For` from the right for as long as the hop is ours. Whatever stands left of
 * the first stranger was written by that stranger and proves nothing. What is no address stops the walk at the last hop
 * that is one; a port behind an address, which some balancers write, is dropped.
 *
 * @param peer in the spelling of `parseAddress`
 * @param forwardedFor one entry each, in the order received
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: readonly string[],
  isTrusted: (address: string | undefined) => boolean,
): string | undefined {
  let client = peer
  for (const hop of forwardedFor.toReversed()) {
    if (!isTrusted(client)) break
    const address = parseHop(hop)
    if (address === undefined) break
    client = address
  }
  return client
}

/**
 * Reads the X-Forwarded-* headers, which anybody can write: only those of a trusted peer count, and there only the last
 * member of each list, which that peer wrote or let pass. What is malformed counts as absent. RFC 7239's `Forwarded` is
 * read where none of them is there: most proxies write the one kind and let the other pass as the visitor sent it.
 */
export function readForwarded(raw: RawHeaders, arrival: Arrival): ForwardedFacts {
  const { peer, isTrusted, isTls, host } = arrival
  const address = peer === undefined || peer === '' ? undefined : (parseAddress(peer) ?? peer)
  const ownScheme = isTls ? 'https' : 'http'
  if (!isTrusted(peer)) {
    return { clientIp: address ?? 'unix', hops: hopsWith([], address), ...place(ownScheme, host) }
  }
  const told = readForwardedLine(raw) ?? readForwardedFields(raw)
  const { hops } = told
  const scheme = parseScheme(told.proto) ?? ownScheme
  const seenHost = parseHost(told.host) ?? host
  const requestIds = headerValues(raw, 'x-request-id')
  const requestId = requestIds.length === 1 ? parseRequestId(requestIds[0] ?? '') : undefined
  return {
    clientIp: clientAddress(address, hops, isTrusted) ?? 'unix',
    hops: hopsWith(hops, address),
    ...place(scheme, seenHost, parsePort(told.port)),
    ...(requestId === undefined ? {} : { requestId }),
  }
}

/** What a trusted peer tells, as text; `''` = nothing. */
interface Told {
  readonly hops: readonly string[]
  readonly proto: string
  readonly host: string
  readonly port: string
}

function readForwardedFields(raw: RawHeaders): Told {
  return {
    hops: listMembers(raw, 'x-forwarded-for'),
    proto: lastMember(raw, 'x-forwarded-proto'),
    host: lastMember(raw, 'x-forwarded-host'),
    port: lastMember(raw, 'x-forwarded-port'),
  }
}

const forwardedFields = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port']

/** Undefined if there is none, or another kind stands beside it. */
function readForwardedLine(raw: RawHeaders): Told | undefined {
  const lines = headerValues(raw, 'forwarded')
  if (lines.length === 0 || forwardedFields.some((name) => hasHeader(raw, name))) return undefined
  const elements = parseForwarded(lines)
  if (elements === undefined) return undefined
  const { proto = '', host = '' } = elements.at(-1) ?? {}
  // Names that a proxy has made up, and hops that it does not name, are nobody whom we could trust.
  return { hops: elements.map((element) => parseHop(element.for ?? '') ?? 'unknown'), proto, host, port: '' }
}

/**
 * The lines that tell an app about the browser's side, flat: rewritten for strangers, extended for trusted proxies.
 * X-Forwarded-For is missing where nobody on the way had an address.
 */
export function forwardedLines(facts: ForwardedFacts): string[] {
  return [
    ...(facts.hops.length === 0 ? [] : ['X-Forwarded-For', facts.hops.join(', ')]),
    'X-Forwarded-Proto',
    facts.scheme,
    'X-Forwarded-Host',
    facts.host,
    'X-Forwarded-Port',
    String(facts.port),
  ]
}

/**
 * The port in the Host line is the browser's own word, so it comes before X-Forwarded-Port, in which some proxies name
 * their inner listener; that one helps where a proxy has cut the port off the host.
 */
function place(
  scheme: Scheme,
  host: Host,
  forwardedPort?: number,
): Pick<ForwardedFacts, 'scheme' | 'host' | 'port' | 'origin'> {
  const defaultPort = scheme === 'https' ? 443 : 80
  const port = host.port ?? forwardedPort ?? defaultPort
  const origin = `${scheme}://${host.name}${port === defaultPort ? '' : `:${port}`}`
  return { scheme, host: host.received, port, origin }
}

function hopsWith(hops: readonly string[], address: string | undefined): string[] {
  return address === undefined ? [...hops] : [...hops, address]
}

/** A port is looked for only where it cannot be the end of an IPv6 address. */
function parseHop(hop: string): string | undefined {
  const withoutPort = /^([0-9.]+|\[[^\]]*\]):[0-9]{1,5}$/.exec(hop)?.[1]
  return parseAddress(withoutPort ?? hop)
}

/** `wss` and `ws` are what some proxies write on an upgrade. */
function parseScheme(text: string): Scheme | undefined {
  const scheme = text.toLowerCase()
  if (scheme === 'https' || scheme === 'wss') return 'https'
  return scheme === 'http' || scheme === 'ws' ? 'http' : undefined
}

function parsePort(text: string): number | undefined {
  const port = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0
  return port > 0 && port <= 65535 ? port : undefined
}

function lastMember(raw: RawHeaders, name: string): string {
  return listMembers(raw, name).at(-1) ?? ''
}

function listMembers(raw: RawHeaders, name: string): string[] {
  return headerValues(raw, name)
    .flatMap((line) => line.split(','))
    .map((member) => member.trim())
    .filter((member) => member !== '')
}
