import { isIPv4, isIPv6 } from 'node:net'
import { parseAddress } from './addresses.ts'

/** For whom a proxy has made a connection. */
export type ProxyHeader =
  /** `isTls`: between the browser and the proxy, where the proxy says so (version 2 only). */
  | { readonly kind: 'relayed'; readonly address: string; readonly isTls: boolean }
  /** For somebody, but the proxy does not say for whom. */
  | { readonly kind: 'unnamed'; readonly isTls: boolean }
  /** For itself, such as a health check. */
  | { readonly kind: 'own' }

/** What the first bytes of a connection are. */
export type ProxyHeaderReading =
  | { readonly state: 'incomplete' }
  | { readonly state: 'malformed' }
  /** `length`: of the header in bytes; what follows belongs to the browser. */
  | { readonly state: 'complete'; readonly header: ProxyHeader; readonly length: number }

const incomplete: ProxyHeaderReading = { state: 'incomplete' }
const malformed: ProxyHeaderReading = { state: 'malformed' }

const TEXT_START = Buffer.from('PROXY ')
const BINARY_START = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** Section 2.1: the longest line of version 1, with its CRLF. */
const MAX_LINE_BYTES = 107
/** Version 2 has room for 64 KiB; what proxies add, a few names and certificates' subjects, fits into this. */
const MAX_BINARY_BYTES = 4096
const BINARY_HEAD_BYTES = 16

/**
 * Reads the header of the PROXY protocol, version 1 or 2 (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt),
 * from the first bytes of a connection. Strict: what is not exactly such a header is malformed as soon as that can be
 * seen, since everything after it is believed to come from the address that it names.
 *
 * Only streams over IPv4 and IPv6 name an address; UNKNOWN, AF_UNSPEC and AF_UNIX name nobody. Checksums are not looked at.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeaderReading {
  if (beginsLike(bytes, BINARY_START)) return readBinary(bytes)
  return beginsLike(bytes, TEXT_START) ? readLine(bytes) : malformed
}

/** As far as there are bytes. */
function beginsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.subarray(0, length).equals(start.subarray(0, length))
}

const addressedLine = /^PROXY (TCP[46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) ([0-9]{1,5}) ([0-9]{1,5})$/
/** Section 2.1: what follows UNKNOWN is ignored. */
const unnamedLine = /^PROXY UNKNOWN(?: [ -~]*)?$/

function readLine(bytes: Buffer): ProxyHeaderReading {
  const end = bytes.subarray(0, MAX_LINE_BYTES).indexOf('\r\n')
  if (end < 0) return bytes.length < MAX_LINE_BYTES ? incomplete : malformed
  const line = bytes.toString('latin1', 0, end)
  const length = end + 2
  if (unnamedLine.test(line)) return { state: 'complete', header: { kind: 'unnamed', isTls: false }, length }
  const [, family, source = '', destination = '', ...ports] = addressedLine.exec(line) ?? []
  const isOfFamily = family === 'TCP4' ? isIPv4 : isIPv6
  if (family === undefined || !isOfFamily(source) || !isOfFamily(destination) || !ports.every(isPort)) return malformed
  return complete(parseAddress(source), false, length)
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9][0-9]*)$/.test(text) && Number(text) <= 65535
}

function complete(address: string | undefined, isTls: boolean, length: number): ProxyHeaderReading {
  return address === undefined ? malformed : { state: 'complete', header: { kind: 'relayed', address, isTls }, length }
}

/** Section 2.2: version in the upper half of byte 12, command in the lower; family and transport in byte 13; length. */
function readBinary(bytes: Buffer): ProxyHeaderReading {
  if (bytes.length < BINARY_HEAD_BYTES) return incomplete
  const [command = 0, family = 0] = bytes.subarray(12, 14)
  const length = BINARY_HEAD_BYTES + bytes.readUInt16BE(14)
  const addressBytes = addressLengths.get(family)
  const isKnown = (command === COMMAND_LOCAL || command === COMMAND_PROXY) && addressBytes !== undefined
  if (!isKnown || length > MAX_BINARY_BYTES) return malformed
  if (bytes.length < length) return incomplete
  // Section 2.2: of a connection for itself the proxy's addresses are ignored.
  if (command === COMMAND_LOCAL) return { state: 'complete', header: { kind: 'own' }, length }
  if (length < BINARY_HEAD_BYTES + addressBytes) return malformed
  const isTls = readIsTls(bytes.subarray(BINARY_HEAD_BYTES + addressBytes, length))
  if (isTls === undefined) return malformed
  const source = bytes.subarray(BINARY_HEAD_BYTES)
  if (family === TCP_OVER_IPV4) return complete(source.subarray(0, 4).join('.'), isTls, length)
  if (family === TCP_OVER_IPV6) return complete(addressOf(source.subarray(0, 16)), isTls, length)
  return { state: 'complete', header: { kind: 'unnamed', isTls }, length }
}

const COMMAND_LOCAL = 0x20
const COMMAND_PROXY = 0x21
const UNSPECIFIED = 0x00
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21
const UNIX_STREAM = 0x31

/** Of both addresses and ports, by family; datagrams carry no HTTP/1.1. */
const addressLengths: ReadonlyMap<number, number> = new Map([
  [UNSPECIFIED, 0],
  [TCP_OVER_IPV4, 12],
  [TCP_OVER_IPV6, 36],
  [UNIX_STREAM, 216],
])

function addressOf(bytes: Buffer): string | undefined {
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2).toString(16))
  return parseAddress(groups.join(':'))
}

/** Section 2.2.6. */
const TLV_SSL = 0x20
const CLIENT_SSL = 0x01

/** Whether the browser came by TLS; undefined if the fields do not add up. */
function readIsTls(fields: Buffer): boolean | undefined {
  let isTls = false
  let at = 0
  while (at < fields.length) {
    if (at + 3 > fields.length) return undefined
    const end = at + 3 + fields.readUInt16BE(at + 1)
    if (end > fields.length) return undefined
    if (fields[at] === TLV_SSL) {
      if (end < at + 8) return undefined
      isTls = ((fields[at + 3] ?? 0) & CLIENT_SSL) !== 0
    }
    at = end
  }
  return isTls
}
