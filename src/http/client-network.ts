import { isIPv4 } from 'node:net'
import { parseAddress } from './addresses.ts'

/**
 * What counts as one client: an IPv4 address, or the /64 of an IPv6 address, which is the least that anybody is given and
 * in which he may choose any address he likes (RFC 4291, section 2.5.1). Undefined for what is no address.
 */
export function clientNetwork(text: string): string | undefined {
  const address = parseAddress(text)
  if (address === undefined || isIPv4(address)) return address
  const [left = '', right = ''] = address.split('::')
  const before = groupsOf(left)
  const after = groupsOf(right)
  // The last 32 bits may be written as IPv4: one part, two groups.
  const written = before.length + after.length + (address.includes('.') ? 1 : 0)
  const zeros = Array.from({ length: 8 - written }, () => '0')
  return `${[...before, ...zeros, ...after].slice(0, 4).join(':')}::/64`
}

function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':')
}
