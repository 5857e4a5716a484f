import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collide, isLocalAddress, parseListenAddress } from '../../../src/config/listen-address.ts'
import { parseUpstreamServer } from '../../../src/config/upstream-server.ts'

const listeners: [why: string, text: string, expected: object | undefined][] = [
  ['IPv4', '127.0.0.1:8080', { kind: 'tcp', host: '127.0.0.1', port: 8080 }],
  ['IPv6 in brackets', '[::1]:8080', { kind: 'tcp', host: '::1', port: 8080 }],
  ['a name', 'LocalHost:80', { kind: 'tcp', host: 'localhost', port: 80 }],
  ['all interfaces', ':8443', { kind: 'tcp', host: undefined, port: 8443 }],
  ['a port that the system chooses', '127.0.0.1:0', { kind: 'tcp', host: '127.0.0.1', port: 0 }],
  ['a socket', 'unix:/run/gate.sock', { kind: 'unix', path: '/run/gate.sock' }],
  ['a socket in the working directory', 'unix:var/gate.sock', { kind: 'unix', path: '/srv/var/gate.sock' }],
  ['IPv6 without brackets could end anywhere', '::1:8080', undefined],
  ['a port above the last', '127.0.0.1:65536', undefined],
  ['no port', '127.0.0.1', undefined],
  ['no such address', '127.0.0.256:80', undefined],
  ['an address as only some resolvers read it', '127.1:80', undefined],
  ['an URL', 'http://127.0.0.1:80', undefined],
  ['a socket without a path', 'unix:', undefined],
  ['a socket path that the system would cut', `unix:/${'x'.repeat(107)}`, undefined],
]

for (const [why, text, expected] of listeners) {
  test(`the address ${text.slice(0, 40)} is ${expected ? 'read' : 'refused'}: ${why}`, () => {
    assert.deepEqual(parseListenAddress(text, '/srv'), expected)
  })
}

const pairs: [a: string, b: string, expected: boolean][] = [
  ['127.0.0.1:80', '127.0.0.1:80', true],
  ['127.0.0.1:80', '127.0.0.1:81', false],
  ['127.0.0.1:80', '[::1]:80', false],
  ['127.0.0.1:80', ':80', true],
  ['0.0.0.0:80', '127.0.0.1:80', true],
  ['127.0.0.1:0', '127.0.0.1:0', false],
  ['unix:/a', 'unix:/a', true],
  ['unix:/a', 'unix:/b', false],
  ['unix:/a', ':80', false],
]

for (const [a, b, expected] of pairs) {
  test(`${a} and ${b} ${expected ? 'collide' : 'can be open together'}`, () => {
    const [first, second] = [parseListenAddress(a, '/'), parseListenAddress(b, '/')]
    assert.ok(first && second)
    assert.equal(collide(first, second), expected)
    assert.equal(collide(second, first), expected)
  })
}

test('only loopback and sockets are local', () => {
  const local = ['127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1', 'unix:/a', '0.0.0.0:1', ':1', '10.0.0.1:1']
  const found = local.filter((text) => {
    const address = parseListenAddress(text, '/')
    return address !== undefined && isLocalAddress(address)
  })
  assert.deepEqual(found, ['127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1', 'unix:/a'])
})

const servers: [why: string, text: string, expected: object | undefined][] = [
  ['host and port', 'http://127.0.0.1:8000', { kind: 'http', origin: 'http://127.0.0.1:8000' }],
  ['port 80 where none is written', 'http://App/', { kind: 'http', origin: 'http://app' }],
  ['IPv6', 'http://[::1]:8000', { kind: 'http', origin: 'http://[::1]:8000' }],
  ['TLS', 'https://App.example.com:443', { kind: 'https', origin: 'https://app.example.com' }],
  ['a socket', 'unix:/run/app.sock', { kind: 'unix', origin: 'unix:/run/app.sock' }],
  ['a socket beside us', 'unix:run/app.sock', { kind: 'unix', origin: 'unix:/srv/run/app.sock' }],
  ['a socket without a path', 'unix:', undefined],
  ['a socket whose path no system takes', `unix:/${'a'.repeat(120)}`, undefined],
  ['a path would be added or not', 'http://app/base', undefined],
  ['a query', 'http://app/?a=b', undefined],
  ['a password would travel with every request', 'http://u:p@app', undefined],
  ['no scheme', '127.0.0.1:8000', undefined],
  ['another scheme', 'ftp://app', undefined],
  ['a port that is none', 'http://app:99999', undefined],
]

for (const [why, text, expected] of servers) {
  test(`the server ${text} is ${expected ? 'read' : 'refused'}: ${why}`, () => {
    assert.deepEqual(parseUpstreamServer(text, '/srv'), expected)
  })
}
