import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ProxyHeader, readProxyHeader } from '../../../src/http/proxy-protocol.ts'
import { proxyV2 } from '../../support/proxy-header.ts'

const v4 = [203, 0, 113, 9, 10, 0, 0, 1, 0x1f, 0x90, 0, 80]
const v6 = [...Buffer.from('20010db8000000000000000000000001', 'hex'), ...new Array(20).fill(0)]
const overTls = [0x20, 0, 5, 0x01, 0, 0, 0, 0]
const notOverTls = [0x20, 0, 5, 0x00, 0, 0, 0, 1]

const whole: [why: string, bytes: Buffer, header: ProxyHeader][] = [
  ['IPv4', line('PROXY TCP4 203.0.113.9 10.0.0.1 8080 80'), relayed('203.0.113.9')],
  ['IPv6', line('PROXY TCP6 2001:DB8::1 ::1 8080 80'), relayed('2001:db8::1')],
  ['a mapped address is the IPv4 one', line('PROXY TCP6 ::ffff:10.0.0.9 ::1 1 2'), relayed('10.0.0.9')],
  ['unknown', line('PROXY UNKNOWN'), { kind: 'unnamed', isTls: false }],
  ['unknown with what is ignored', line('PROXY UNKNOWN ffff:: :: 1 2'), { kind: 'unnamed', isTls: false }],
  ['v2, IPv4', proxyV2(0x21, 0x11, v4), relayed('203.0.113.9')],
  ['v2, IPv6', proxyV2(0x21, 0x21, v6), relayed('2001:db8::1')],
  ['v2, with a field that nobody knows', proxyV2(0x21, 0x11, [...v4, 0xe0, 0, 1, 9]), relayed('203.0.113.9')],
  ['v2, over TLS', proxyV2(0x21, 0x11, [...v4, ...overTls]), relayed('203.0.113.9', true)],
  ['v2, not over TLS', proxyV2(0x21, 0x11, [...v4, ...notOverTls]), relayed('203.0.113.9')],
  ['v2, for itself', proxyV2(0x20, 0x00, []), { kind: 'own' }],
  ['v2, for itself with addresses', proxyV2(0x20, 0x11, v4), { kind: 'own' }],
  ['v2, unspecified', proxyV2(0x21, 0x00, []), { kind: 'unnamed', isTls: false }],
  ['v2, a Unix socket', proxyV2(0x21, 0x31, new Array(216).fill(0)), { kind: 'unnamed', isTls: false }],
]
for (const [why, bytes, header] of whole) {
  test(`a header: ${why}`, () => {
    assert.deepEqual(readProxyHeader(bytes), { state: 'complete', header, length: bytes.length })
    const followed = Buffer.concat([bytes, Buffer.from('GET / HTTP/1.1\r\n')])
    assert.deepEqual(readProxyHeader(followed), { state: 'complete', header, length: bytes.length })
    for (let length = 0; length < bytes.length; length += 1) {
      assert.equal(readProxyHeader(bytes.subarray(0, length)).state, 'incomplete', `its first ${length} bytes`)
    }
  })
}

const none: [why: string, bytes: Buffer][] = [
  ['a request', Buffer.from('G')],
  ['lower case', Buffer.from('proxy TCP4')],
  ['two spaces', line('PROXY  TCP4 203.0.113.9 10.0.0.1 1 2')],
  ['an address of the other family', line('PROXY TCP4 2001:db8::1 ::1 1 2')],
  ['the other way round', line('PROXY TCP6 203.0.113.9 10.0.0.1 1 2')],
  ['a padded address', line('PROXY TCP4 203.000.113.009 10.0.0.1 1 2')],
  ['a zone', line('PROXY TCP6 fe80::1%eth0 ::1 1 2')],
  ['a port that is none', line('PROXY TCP4 203.0.113.9 10.0.0.1 65536 2')],
  ['a padded port', line('PROXY TCP4 203.0.113.9 10.0.0.1 080 2')],
  ['a port too few', line('PROXY TCP4 203.0.113.9 10.0.0.1 80')],
  ['a word too many', line('PROXY TCP4 203.0.113.9 10.0.0.1 1 2 3')],
  ['datagrams', line('PROXY UDP4 203.0.113.9 10.0.0.1 1 2')],
  ['a bare line feed', Buffer.from('PROXY TCP4 203.0.113.9 10.0.0.1 1 2\nGET / HTTP/1.1\r\n')],
  ['a line without an end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(120)}`)],
  ['v2, another version', proxyV2(0x11, 0x11, v4)],
  ['v2, another command', proxyV2(0x22, 0x11, v4)],
  ['v2, datagrams', proxyV2(0x21, 0x12, v4)],
  ['v2, too short for its addresses', proxyV2(0x21, 0x11, v4.slice(1))],
  ['v2, a field that is longer than the rest', proxyV2(0x21, 0x11, [...v4, 0xe0, 0, 9, 9])],
  ['v2, a field cut in its head', proxyV2(0x21, 0x11, [...v4, 0xe0, 0])],
  ['v2, a TLS field without its flags', proxyV2(0x21, 0x11, [...v4, 0x20, 0, 0])],
  ['v2, more than anybody sends', proxyV2(0x21, 0x11, []).fill(0xff, 14)],
]
for (const [why, bytes] of none) {
  test(`no header: ${why}`, () => assert.equal(readProxyHeader(bytes).state, 'malformed'))
}

test('whatever comes, it is read without a throw, and a header is never longer than what came', () => {
  const start = fc.constantFrom(
    'PROXY ',
    'PROXY TCP4 1.2.3.4 ',
    '\r\n\r\n\0\r\nQUIT\n',
    '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c',
  )
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 200 }), (text, tail) => {
      const bytes = Buffer.concat([Buffer.from(text, 'latin1'), tail])
      const reading = readProxyHeader(bytes)
      if (reading.state === 'complete') assert.ok(reading.length <= bytes.length)
    }),
  )
})

function line(text: string): Buffer {
  return Buffer.from(`${text}\r\n`, 'latin1')
}

function relayed(address: string, isTls = false): ProxyHeader {
  return { kind: 'relayed', address, isTls }
}
