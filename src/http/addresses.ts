import { BlockList, isIPv4, isIPv6, SocketAddress } from 'node:net'

/** A network as the trust list keeps it; a single address is one of full length. */
export interface Cidr {
  readonly family: 'ipv4' | 'ipv6'
  readonly address: string
  /** Bits; 1 to 32 or 1 to 128. */
  readonly prefix: number
}

/** An entry of `trusted_proxies`: a network, or the word for peers on a Unix socket. */
export type TrustEntry = Cidr | 'unix'

/** Why an entry cannot stand in a trust list, as a clause for the operator. */
export interface CidrProblem {
  readonly problem: string
}

/**
 * An address in its one spelling, so that a rule, a log and a trust list mean the same peer: `::ffff:10.0.0.1` is
 * `10.0.0.1`, which is what a dual-stack socket calls an IPv4 peer (GHSA-7jmw-8259-q9jx); brackets and zone id go; IPv6 is
 * shortened and lower-case. Zero-padded IPv4 is no address: `010.0.0.1` is 8.0.0.1 to some and 10.0.0.1 to others.
 */
export function parseAddress(text: string): string | undefined {
  if (isIPv4(text)) return text
  const bare = /^\[(.*)\]$/.exec(text)?.[1] ?? text
  if (!isIPv6(bare)) return undefined
  const address = new SocketAddress({ address: bare.replace(/%.*$/, ''), family: 'ipv6' }).address
  const mapped = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : ''
  return isIPv4(mapped) ? mapped : address
}

/**
 * An entry of `trusted_proxies`: `10.0.0.0/8`, `fd00::/8`, a single address, or `unix`. IPv4 written as IPv6 is taken for
 * what it is. Networks of everybody are refused in every spelling: trusting all peers means that each client chooses its
 * own address, scheme and host.
 */
export function parseCidr(text: string): TrustEntry | CidrProblem {
  if (text === 'unix') return 'unix'
  const parts = /^([^/]+)(?:\/(0|[1-9][0-9]{0,2}))?$/.exec(text)
  const written = parts?.[1] ?? ''
  const address = parseAddress(written)
  if (address === undefined || written.includes('%')) {
    return { problem: 'is neither an address, a network such as 10.0.0.0/8, nor the word unix' }
  }
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  // The first 96 bits of an IPv4 address written as IPv6 are the mark of that.
  const markBits = family === 'ipv4' && written.includes(':') ? 96 : 0
  const bits = family === 'ipv4' ? 32 : 128
  const prefix = parts?.[2] === undefined ? bits : Number(parts[2]) - markBits
  if (prefix > bits) return { problem: `has a prefix longer than ${bits + markBits}` }
  if (prefix <= 0) return { problem: 'trusts everybody: name the networks of your own proxies' }
  return { family, address, prefix }
}

/**
 * Compiles `trusted_proxies` into the question whether a peer is one of them; an empty list trusts nobody. A peer without
 * an address is one on a Unix socket, and trusted if the list says `unix`. The listener must note a peer's address when
 * it connects: a TCP socket that is gone has none any more, and would pass for a Unix one.
 *
 * IPv4 and IPv6 are kept apart, since one `BlockList` finds `10.0.0.1` in `::/64`.
 *
 * @throws {TypeError} on an entry that `parseCidr` has a problem with; the configuration is checked before
 */
export function compileTrust(cidrs: readonly string[]): (address: string | undefined) => boolean {
  const networks = { ipv4: new BlockList(), ipv6: new BlockList() }
  let trustsUnix = false
  for (const text of cidrs) {
    const entry = parseCidr(text)
    if (entry === 'unix') trustsUnix = true
    else if ('problem' in entry) throw new TypeError(`the trusted proxy ${text} ${entry.problem}`)
    else networks[entry.family].addSubnet(entry.address, entry.prefix, entry.family)
  }
  if (cidrs.length === 0) return () => false
  return function isTrusted(address) {
    if (address === undefined || address === '') return trustsUnix
    const peer = parseAddress(address)
    if (peer === undefined) return false
    return isIPv4(peer) ? networks.ipv4.check(peer, 'ipv4') : networks.ipv6.check(peer, 'ipv6')
  }
}
