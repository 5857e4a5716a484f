import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { readProxyHeader } from '../../../src/http/proxy-protocol.ts'
import type { FuzzTarget } from '../fuzz-target.ts'

const binary = '\r\n\r\n\0\r\nQUIT\n'

/**
 * The first bytes of a connection from a proxy. What is read does not depend on where the bytes were split nor on what
 * follows the header, and an address is one.
 */
export const proxyHeaderTarget: FuzzTarget = {
  name: 'proxy-headers',
  seeds: [
    'PROXY TCP4 203.0.113.9 10.0.0.1 5000 443\r\nGET / HTTP/1.1\r\n',
    'PROXY TCP6 2001:db8::1 ::1 5000 443\r\n',
    'PROXY UNKNOWN\r\n',
    `${binary}\x21\x11\0\x0c\xcb\0\x71\x09\x0a\0\0\x01\x13\x88\x01\xbbGET`,
    `${binary}\x20\0\0\0`,
    `${binary}\x21\x21\0\x24${'\x01'.repeat(36)}`,
    `${binary}\x21\x11\0\x14${'\x02'.repeat(12)}\x20\0\x05\x01\0\0\0\0`,
    `${binary}\x21\x31\0\xd8${'\0'.repeat(216)}`,
  ],
  dictionary: [
    binary,
    'PROXY ',
    'TCP4 ',
    'TCP6 ',
    'UNKNOWN',
    '\r\n',
    '\x21\x11',
    '\x21\x21',
    '\x20\0',
    '\0\x0c',
    '65535',
    '::',
  ],
  check(bytes) {
    const whole = readProxyHeader(bytes)
    const longer = readProxyHeader(Buffer.concat([bytes, Buffer.from('\r\nGET / ')]))
    if (whole.state !== 'incomplete') assert.deepEqual(longer, whole)
    for (let length = 0; length < bytes.length; length += 1) {
      const part = readProxyHeader(bytes.subarray(0, length))
      if (part.state !== 'incomplete') assert.deepEqual(part, whole, `after ${length} bytes`)
      else if (whole.state === 'complete') assert.ok(length < whole.length)
    }
    if (whole.state !== 'complete') return
    assert.ok(whole.length > 0 && whole.length <= Math.min(4096, bytes.length))
    const { header } = whole
    if (header.kind !== 'relayed') return
    const version = isIP(header.address)
    assert.ok(version > 0, header.address)
    const peer = version === 4 ? '0.0.0.0' : '::'
    const again = readProxyHeader(Buffer.from(`PROXY TCP${version} ${header.address} ${peer} 1 2\r\n`))
    assert.ok(again.state === 'complete' && again.header.kind === 'relayed')
    assert.equal(again.header.address, header.address)
  },
}
