import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileTrust, parseAddress, parseCidr } from '../../../src/http/addresses.ts'

const addresses: [why: string, text: string, address: string | undefined][] = [
  ['IPv4', '10.0.0.1', '10.0.0.1'],
  ['IPv4 on a dual-stack socket', '::ffff:10.0.0.1', '10.0.0.1'],
  ['the same in hexadecimal', '::FFFF:a00:1', '10.0.0.1'],
  ['the same in full', '0:0:0:0:0:ffff:10.0.0.1', '10.0.0.1'],
  ['IPv6', '2001:DB8:0:0::1', '2001:db8::1'],
  ['in brackets', '[::1]', '::1'],
  ['with a zone id', 'fe80::1%eth0', 'fe80::1'],
  ['in brackets with a zone id', '[fe80::1%2]', 'fe80::1'],
  ['zero-padded: octal to some', '010.0.0.1', undefined],
  ['short', '127.1', undefined],
  ['hexadecimal', '0x7f.0.0.1', undefined],
  ['IPv4 in brackets', '[10.0.0.1]', undefined],
  ['IPv4 with a zone', '10.0.0.1%eth0', undefined],
  ['too large', '256.0.0.1', undefined],
  ['a port', '10.0.0.1:80', undefined],
  ['a name', 'localhost', undefined],
  ['a space', ' 10.0.0.1', undefined],
  ['an open bracket', '[::1', undefined],
  ['two brackets', '[[::1]]', undefined],
  ['empty', '', undefined],
  ['the word', 'unix', undefined],
]
for (const [why, text, address] of addresses) {
  test(`the address ${JSON.stringify(text)}: ${why}`, () => assert.equal(parseAddress(text), address))
}

const networks: [why: string, text: string, entry: ReturnType<typeof parseCidr>][] = [
  ['a network', '10.0.0.0/8', { family: 'ipv4', address: '10.0.0.0', prefix: 8 }],
  ['a single address', '10.0.0.1', { family: 'ipv4', address: '10.0.0.1', prefix: 32 }],
  ['an address within its network', '127.0.0.1/8', { family: 'ipv4', address: '127.0.0.1', prefix: 8 }],
  ['IPv6', 'fd00::/8', { family: 'ipv6', address: 'fd00::', prefix: 8 }],
  ['IPv6 in brackets', '[::1]', { family: 'ipv6', address: '::1', prefix: 128 }],
  ['IPv4 as IPv6', '::ffff:10.0.0.0/104', { family: 'ipv4', address: '10.0.0.0', prefix: 8 }],
  ['the word', 'unix', 'unix'],
]
for (const [why, text, entry] of networks) {
  test(`the trust entry ${text}: ${why}`, () => assert.deepEqual(parseCidr(text), entry))
}

const problems: [text: string, problem: RegExp][] = [
  ['0.0.0.0/0', /trusts everybody/],
  ['10.0.0.0/0', /trusts everybody/],
  ['::/0', /trusts everybody/],
  ['::ffff:0.0.0.0/96', /trusts everybody/],
  ['::ffff:0:0/80', /trusts everybody/],
  ['10.0.0.0/33', /longer than 32/],
  ['::1/129', /longer than 128/],
  ['10.0.0.0/08', /neither an address/],
  ['10.0.0.0/', /neither an address/],
  ['10.0.0.0/-1', /neither an address/],
  ['10.0.0.0/8/8', /neither an address/],
  ['010.0.0.0/8', /neither an address/],
  ['fe80::1%eth0', /neither an address/],
  ['10.0.0', /neither an address/],
  ['*', /neither an address/],
  ['localhost', /neither an address/],
  ['Unix', /neither an address/],
  ['', /neither an address/],
]
for (const [text, problem] of problems) {
  test(`the trust entry ${JSON.stringify(text)} is a problem, and is not compiled`, () => {
    const entry = parseCidr(text)
    assert.ok(typeof entry === 'object' && 'problem' in entry)
    assert.match(entry.problem, problem)
    assert.throws(() => compileTrust([text]), TypeError)
  })
}

const peers: [why: string, cidrs: string[], peer: string | undefined, isTrusted: boolean][] = [
  ['an empty list trusts nobody', [], '127.0.0.1', false],
  ['an empty list trusts no Unix socket', [], undefined, false],
  ['in the network', ['10.0.0.0/8'], '10.255.0.1', true],
  ['outside', ['10.0.0.0/8'], '11.0.0.1', false],
  ['mapped (GHSA-7jmw-8259-q9jx)', ['10.0.0.0/8'], '::ffff:10.0.0.1', true],
  ['mapped, in hexadecimal', ['10.0.0.0/8'], '::ffff:a00:1', true],
  ['mapped in the list', ['::ffff:10.0.0.0/104'], '10.0.0.1', true],
  ['with a zone id', ['fe80::/10'], 'fe80::1%eth0', true],
  ['bracketed', ['::1'], '[::1]', true],
  ['zero-padded is nobody', ['10.0.0.0/8'], '010.0.0.1', false],
  ['IPv4 is not in an IPv6 network', ['::/64'], '10.0.0.1', false],
  ['mapped is not in an IPv6 network either', ['::/64'], '::ffff:10.0.0.1', false],
  ['a Unix socket has no address', ['unix'], undefined, true],
  ['or an empty one', ['unix'], '', true],
  ['the word is not an address', ['unix'], 'unix', false],
  ['addresses do not trust Unix sockets', ['10.0.0.0/8', '::/1'], '', false],
  ['what is no address', ['10.0.0.0/8'], 'evil', false],
  ['several entries', ['10.0.0.0/8', 'fd00::/8', 'unix'], 'fd12::1', true],
]
for (const [why, cidrs, peer, isTrusted] of peers) {
  test(`${JSON.stringify(peer)} with ${JSON.stringify(cidrs)}: ${why}`, () => {
    assert.equal(compileTrust(cidrs)(peer), isTrusted)
  })
}

test('an address is in a network exactly if its first bits are those of the network', () => {
  const bits = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  fc.assert(
    fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 1, max: 32 }), (network, peer, prefix) => {
      const size = 2 ** (32 - prefix)
      const expected = Math.floor(bits(network) / size) === Math.floor(bits(peer) / size)
      const isTrusted = compileTrust([`${network}/${prefix}`])
      assert.equal(isTrusted(peer), expected)
      assert.equal(isTrusted(`::ffff:${peer}`), expected)
    }),
  )
})

test('one spelling is a fixed point', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const address = parseAddress(text)
      if (address !== undefined) assert.equal(parseAddress(address), address)
    }),
  )
})
