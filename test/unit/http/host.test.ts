import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseHost, readHost } from '../../../src/http/host.ts'

const accepted: [why: string, line: string, name: string, port?: number][] = [
  ['a plain name', 'app.example.com', 'app.example.com'],
  ['names have no case', 'APP.Example.COM:8080', 'app.example.com', 8080],
  ['one label', 'localhost', 'localhost'],
  ['a name that ends in a digit', 'app1', 'app1'],
  ['a last label that begins with a digit', 'app.1a', 'app.1a'],
  ['a last label that begins like a hexadecimal number', 'app.0xg', 'app.0xg'],
  ['a label of 63', `${'a'.repeat(63)}.b`, `${'a'.repeat(63)}.b`],
  ['a name of 253', `${'a.'.repeat(126)}b`, `${'a.'.repeat(126)}b`],
  ['an underscore, as in container networks', 'my_app:80', 'my_app', 80],
  ['IPv4', '127.0.0.1:8080', '127.0.0.1', 8080],
  ['IPv6', '[::1]:8443', '[::1]', 8443],
  ['IPv6 in its shortest form, so that one rule meets it', '[0:0:0:0:0:0:0:1]', '[::1]'],
  ['IPv6 in capitals', '[FE80::ABCD]', '[fe80::abcd]'],
  ['punycode', 'xn--bcher-kva.example', 'xn--bcher-kva.example'],
  ['the lowest port', 'a:0', 'a', 0],
  ['the highest port', 'a:65535', 'a', 65535],
]
for (const [why, line, name, port] of accepted) {
  test(`the host ${line} is accepted: ${why}`, () => {
    const expected = port === undefined ? { name, received: line } : { name, port, received: line }
    assert.deepEqual(readHost(['Host', line], '1.1'), expected)
  })
}

const refused: [why: string, line: string][] = [
  ['empty', ''],
  ['a list', 'a, b'],
  ['a list without a space', 'a,b'],
  ['userinfo', 'user@a'],
  ['userinfo with a password', 'user:pw@a'],
  ['a path', 'a/b'],
  ['a backslash', 'a\\b'],
  ['a query', 'a?b'],
  ['a fragment', 'a#b'],
  ['a space', 'a b'],
  ['a leading space', ' a'],
  ['a tab', 'a\t'],
  ['a trailing dot: the same for DNS, another for a rule', 'api.x.'],
  ['a trailing dot before a port', 'api.x.:80'],
  ['only a dot', '.'],
  ['a leading dot', '.example.com'],
  ['an empty label', 'a..b'],
  ['a port above 65535', 'api.x:99999'],
  ['a port one above', 'a:65536'],
  ['an empty port', 'a:'],
  ['a negative port', 'a:-1'],
  ['a leading zero in the port', 'a:080'],
  ['letters in the port', 'a:80x'],
  ['two ports', 'a:80:80'],
  ['only a port', ':80'],
  ['percent-encoding', '%61.example.com'],
  ['IPv6 without brackets', '::1'],
  ['an open bracket', '[::1'],
  ['nothing in the brackets', '[]'],
  ['IPv4 in brackets', '[127.0.0.1]'],
  ['a zone id', '[fe80::1%25eth0]'],
  ['a zone id, not encoded', '[fe80::1%eth0]'],
  ['no IPv6 at all', '[:::]'],
  ['a future address', '[v1.a]'],
  ['short IPv4: loopback to some', '127.1'],
  ['hexadecimal IPv4', '0x7f000001'],
  ['a decimal IPv4', '2130706433'],
  ['zero-padded IPv4', '010.0.0.1'],
  ['an octet too large', '256.0.0.1'],
  ['a name that ends in a number', 'a.1'],
  ['a wildcard', '*.example.com'],
  ['letters outside ASCII', 'b\xfccher.example'],
  ['a label of 64', `${'a'.repeat(64)}.example`],
  ['a name of 254', `${'a.'.repeat(126)}ab`],
  ['absurdly long', 'a'.repeat(100_000)],
  ['NUL', 'a\0'],
]
for (const [why, line] of refused) {
  test(`the host ${JSON.stringify(line.slice(0, 40))} is refused: ${why}`, () => {
    assert.throws(() => readHost(['Host', line], '1.1'), { code: 'ERR_HOST_INVALID' })
  })
}

test('exactly one Host line is accepted, in HTTP/1.0 too', () => {
  const invalid = { code: 'ERR_HOST_INVALID' }
  assert.throws(() => readHost([], '1.1'), invalid)
  assert.throws(() => readHost([], '1.0'), invalid)
  assert.throws(() => readHost(['Host', 'a', 'host', 'b'], '1.1'), invalid)
  assert.throws(() => readHost(['Host', 'a', 'HOST', 'a'], '1.1'), invalid)
  assert.equal(readHost(['hOsT', 'a'], '1.0').name, 'a')
})

test('what is accepted is one host for the URL standard as well', () => {
  const part = fc.constantFrom('a', 'B', '0', '1', '.', '-', '_', ':', '[', ']', '80', '@', '%', '0x', '::', 'example')
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const host = parseHost(parts.join(''))
      if (host === undefined) return
      const url = new URL(`http://${host.received}/`)
      assert.equal(url.hostname, host.name)
      assert.equal(url.port, host.port === undefined || host.port === 80 ? '' : String(host.port))
      assert.deepEqual(parseHost(host.name), { name: host.name, received: host.name })
    }),
    { numRuns: 2000 },
  )
})
