import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileTrust } from '../../../src/http/addresses.ts'
import { type Arrival, clientAddress, forwardedLines, readForwarded } from '../../../src/http/forwarded.ts'
import type { Host } from '../../../src/http/host.ts'

const isTrusted = compileTrust(['10.0.0.0/8', 'unix'])
const host: Host = { name: 'app.example', received: 'App.example' }
const stranger: Arrival = { peer: '203.0.113.9', isTrusted, isTls: false, host }
const proxy: Arrival = { peer: '10.0.0.1', isTrusted, isTls: false, host }

const walks: [why: string, peer: string | undefined, forwardedFor: string[], client: string | undefined][] = [
  ['a stranger is believed nothing', '203.0.113.9', ['1.1.1.1'], '203.0.113.9'],
  ['a proxy names its client', '10.0.0.1', ['203.0.113.9'], '203.0.113.9'],
  ['a spoofed head is ignored', '10.0.0.1', ['1.1.1.1', '203.0.113.9'], '203.0.113.9'],
  ['a chain of proxies', '10.0.0.1', ['1.1.1.1', '203.0.113.9', '10.0.0.3', '10.0.0.2'], '203.0.113.9'],
  ['a proxy that is its own client', '10.0.0.1', [], '10.0.0.1'],
  ['nobody but proxies', '10.0.0.1', ['10.0.0.3', '10.0.0.2'], '10.0.0.3'],
  ['what is no address stops the walk', '10.0.0.1', ['203.0.113.9', 'unknown', '10.0.0.2'], '10.0.0.2'],
  ['what is no address at the end', '10.0.0.1', ['203.0.113.9', 'evil'], '10.0.0.1'],
  ['zero-padded is no address', '10.0.0.1', ['1.1.1.1', '010.0.0.2'], '10.0.0.1'],
  ['mapped hops are walked as IPv4', '10.0.0.1', ['203.0.113.9', '::ffff:10.0.0.2'], '203.0.113.9'],
  ['IPv6 in brackets', '10.0.0.1', ['[2001:DB8::1]'], '2001:db8::1'],
  ['a port, as some balancers write it', '10.0.0.1', ['203.0.113.9:4711', '[::ffff:10.0.0.2]:80'], '203.0.113.9'],
  ['a port is no end of an IPv6 address', '10.0.0.1', ['1:2:3:4:5:6:7:8:9'], '10.0.0.1'],
  ['an empty hop', '10.0.0.1', ['203.0.113.9', ''], '10.0.0.1'],
  ['a Unix socket', undefined, ['203.0.113.9'], '203.0.113.9'],
  ['a Unix socket that names nobody', undefined, [], undefined],
]
for (const [why, peer, forwardedFor, client] of walks) {
  test(`the client's address: ${why}`, () => assert.equal(clientAddress(peer, forwardedFor, isTrusted), client))
}

test('whatever a client writes, it is known by the last address that a proxy of ours saw', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.ipV4(), fc.string())), (written) => {
      assert.equal(clientAddress('10.0.0.1', [...written, '203.0.113.9'], isTrusted), '203.0.113.9')
      assert.equal(clientAddress('203.0.113.9', written, isTrusted), '203.0.113.9')
    }),
  )
})

test('a stranger changes nothing, not one of a thousand random headers', () => {
  const names = [
    'X-Forwarded-For',
    'X-Forwarded-Proto',
    'X-Forwarded-Host',
    'X-Forwarded-Port',
    'X-Request-Id',
    'Forwarded',
  ]
  const values = ['10.0.0.9', 'https', 'evil.example', '443', 'for=10.0.0.9;proto=https', '', 'x, y']
  const plain = readForwarded([], stranger)
  assert.deepEqual(plain, {
    clientIp: '203.0.113.9',
    scheme: 'http',
    host: 'App.example',
    port: 80,
    origin: 'http://app.example',
    hops: ['203.0.113.9'],
  })
  const line = fc.tuple(fc.constantFrom(...names), fc.oneof(fc.constantFrom(...values), fc.string()))
  fc.assert(
    fc.property(fc.array(line), (lines) => assert.deepEqual(readForwarded(lines.flat(), stranger), plain)),
    { numRuns: 1000 },
  )
})

const facts: [why: string, raw: string[], arrival: Partial<Arrival>, expected: object][] = [
  ['TLS on our own listener', [], { isTls: true }, { scheme: 'https', port: 443, origin: 'https://app.example' }],
  ['the scheme of a proxy', ['X-Forwarded-Proto', 'https'], {}, { scheme: 'https', origin: 'https://app.example' }],
  ['in any case', ['x-forwarded-proto', 'HTTPS'], {}, { scheme: 'https' }],
  ['of an upgrade', ['X-Forwarded-Proto', 'wss'], {}, { scheme: 'https' }],
  ['plain behind a TLS listener of ours', ['X-Forwarded-Proto', 'http'], { isTls: true }, { scheme: 'http' }],
  ['of several the last, which our proxy wrote', ['X-Forwarded-Proto', 'https, http'], {}, { scheme: 'http' }],
  ['over several lines', ['X-Forwarded-Proto', 'http', 'X-Forwarded-Proto', 'https'], {}, { scheme: 'https' }],
  ['a scheme that is none', ['X-Forwarded-Proto', 'javascript'], {}, { scheme: 'http' }],
  [
    'the host of a proxy',
    ['X-Forwarded-Host', 'Public.example'],
    {},
    { host: 'Public.example', origin: 'http://public.example' },
  ],
  ['with a port', ['X-Forwarded-Host', 'p.example:8080'], {}, { port: 8080, origin: 'http://p.example:8080' }],
  ['of several hosts the last', ['X-Forwarded-Host', 'evil.example, p.example'], {}, { host: 'p.example' }],
  ['a host that is none', ['X-Forwarded-Host', 'p.example/evil'], {}, { host: 'App.example' }],
  [
    'a port for a host that lost it',
    ['X-Forwarded-Port', '8443'],
    {},
    { port: 8443, origin: 'http://app.example:8443' },
  ],
  ['the port in the host comes first', ['X-Forwarded-Host', 'p:81', 'X-Forwarded-Port', '82'], {}, { port: 81 }],
  ['a port that is none', ['X-Forwarded-Port', '0'], {}, { port: 80 }],
  ['a port too high', ['X-Forwarded-Port', '65536'], {}, { port: 80 }],
  [
    'a default port is not in the origin',
    ['X-Forwarded-Proto', 'https', 'X-Forwarded-Port', '443'],
    {},
    { port: 443, origin: 'https://app.example' },
  ],
  ['a request id', ['X-Request-Id', 'abc-1'], {}, { requestId: 'abc-1' }],
  ['a request id that could break a line', ['X-Request-Id', 'a b'], {}, { requestId: undefined }],
  ['two request ids', ['X-Request-Id', 'a', 'X-Request-Id', 'b'], {}, { requestId: undefined }],
  [
    'RFC 7239, where it stands alone',
    ['Forwarded', 'for=1.1.1.1, for="[2001:DB8::1]:4711";proto=https;host="shop.example:8443"'],
    {},
    {
      clientIp: '2001:db8::1',
      scheme: 'https',
      host: 'shop.example:8443',
      hops: ['1.1.1.1', '2001:db8::1', '10.0.0.1'],
    },
  ],
  [
    'RFC 7239, of several proxies: the last says what the nearest one saw',
    ['Forwarded', 'for=203.0.113.9;proto=https', 'Forwarded', 'for=10.0.0.2;proto=http'],
    {},
    { clientIp: '203.0.113.9', scheme: 'http' },
  ],
  [
    'RFC 7239, with hops that have no address',
    ['Forwarded', 'for=203.0.113.9, for=_hidden'],
    {},
    { clientIp: '10.0.0.1', hops: ['203.0.113.9', 'unknown', '10.0.0.1'] },
  ],
  [
    'RFC 7239 is not read beside the others: they are what the proxy wrote',
    ['Forwarded', 'for=1.1.1.1;proto=https', 'X-Forwarded-For', '203.0.113.9'],
    {},
    { clientIp: '203.0.113.9', scheme: 'http' },
  ],
  [
    'RFC 7239, malformed',
    ['Forwarded', 'for=1.1.1.1;proto=https;'],
    {},
    { clientIp: '10.0.0.1', scheme: 'http', hops: ['10.0.0.1'] },
  ],
  [
    'a mapped peer',
    ['X-Forwarded-For', '1.1.1.1'],
    { peer: '::ffff:10.0.0.1' },
    { clientIp: '1.1.1.1', hops: ['1.1.1.1', '10.0.0.1'] },
  ],
  ['a Unix socket', ['X-Forwarded-For', '1.1.1.1'], { peer: '' }, { clientIp: '1.1.1.1', hops: ['1.1.1.1'] }],
  ['a Unix socket that names nobody', [], { peer: undefined }, { clientIp: 'unix', hops: [] }],
  [
    'several lines are one list',
    ['X-Forwarded-For', '1.1.1.1,', 'x-forwarded-for', '2.2.2.2'],
    {},
    { clientIp: '2.2.2.2' },
  ],
]
for (const [why, raw, arrival, expected] of facts) {
  test(`a trusted proxy is believed: ${why}`, () => {
    const read: Record<string, unknown> = { ...readForwarded(raw, { ...proxy, ...arrival }) }
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(read[key], value, key)
  })
}

test('for a stranger the lines are rewritten', () => {
  const raw = ['X-Forwarded-For', '1.1.1.1', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'evil']
  assert.deepEqual(forwardedLines(readForwarded(raw, stranger)), [
    ...['X-Forwarded-For', '203.0.113.9', 'X-Forwarded-Proto', 'http'],
    ...['X-Forwarded-Host', 'App.example', 'X-Forwarded-Port', '80'],
  ])
})

test('for a trusted proxy the lines are extended', () => {
  const raw = ['X-Forwarded-For', '1.1.1.1, 203.0.113.9', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'p.example']
  assert.deepEqual(forwardedLines(readForwarded(raw, proxy)), [
    ...['X-Forwarded-For', '1.1.1.1, 203.0.113.9, 10.0.0.1', 'X-Forwarded-Proto', 'https'],
    ...['X-Forwarded-Host', 'p.example', 'X-Forwarded-Port', '443'],
  ])
})

test('where nobody has an address there is no X-Forwarded-For', () => {
  assert.equal(forwardedLines(readForwarded([], { ...proxy, peer: '' })).includes('X-Forwarded-For'), false)
})
