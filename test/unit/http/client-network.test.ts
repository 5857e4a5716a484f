import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { clientNetwork } from '../../../src/http/client-network.ts'

const cases: [why: string, address: string, network: string | undefined][] = [
  ['IPv4 is one client each', '192.0.2.1', '192.0.2.1'],
  ['as a dual-stack socket writes it', '::ffff:192.0.2.1', '192.0.2.1'],
  ['IPv6 counts by the first half', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['however it is written', '2001:0DB8:0001:0002::7', '2001:db8:1:2::/64'],
  ['the gap may lie in the first half', '2001:db8::1', '2001:db8:0:0::/64'],
  ['or fill it', '::1', '0:0:0:0::/64'],
  ['or be short', '2001::3:4:5:6:7', '2001:0:0:3::/64'],
  ['or come last', '2001:db8:1::', '2001:db8:1:0::/64'],
  ['with a zone', 'fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['with IPv4 at its end', '64:ff9b::192.0.2.33', '64:ff9b:0:0::/64'],
  ['nobody', 'unknown', undefined],
  ['a peer that is gone', '', undefined],
]

for (const [why, address, network] of cases) {
  test(`${why}: ${address} is of ${network}`, () => assert.equal(clientNetwork(address), network))
}

test('two addresses of IPv6 are one client exactly if their first 64 bits are the same', () => {
  const half = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 4, maxLength: 4 })
  // Groups of nothing, so that gaps are written.
  const sparse = fc.array(fc.constantFrom(0, 0, 0, 1, 0xffff), { minLength: 4, maxLength: 4 })
  const first = fc.oneof(half, sparse)
  const text = (groups: readonly number[]): string => groups.map((group) => group.toString(16)).join(':')
  fc.assert(
    fc.property(first, fc.oneof(half, sparse), fc.oneof(half, sparse), (net, one, other) => {
      fc.pre(net.some((group) => group !== 0)) // ::ffff:1.2.3.4 is another matter
      assert.equal(clientNetwork(text([...net, ...one])), clientNetwork(text([...net, ...other])))
      assert.equal(clientNetwork(text([...net, ...one])), `${text(net)}::/64`)
    }),
  )
})
