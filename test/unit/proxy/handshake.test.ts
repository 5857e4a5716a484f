import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GatewayError } from '../../../src/errors.ts'
import { acceptFor, isAcceptance, readHandshake, readKey } from '../../../src/proxy/handshake.ts'

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const lines = {
  host: ['Host', 'app.test'],
  upgrade: ['Upgrade', 'websocket'],
  connection: ['Connection', 'Upgrade'],
  version: ['Sec-WebSocket-Version', '13'],
  key: ['Sec-WebSocket-Key', key],
}
const handshakeWith = (changes: Partial<typeof lines>) => ({
  method: 'GET',
  httpVersion: '1.1',
  headers: Object.values({ ...lines, ...changes }).flat(),
})

test('the answer to a key is that of RFC 6455, section 1.3', () => {
  assert.equal(acceptFor(key), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
})

const accepted: [why: string, changes: Partial<typeof lines>][] = [
  ['as browsers send it', {}],
  ['a list of connection options', { connection: ['Connection', 'keep-alive, Upgrade'] }],
  ['options on several lines', { connection: ['connection', 'keep-alive', 'CONNECTION', ' upgrade\t,x'] }],
  ['another case', { upgrade: ['UPGRADE', 'WebSocket'], connection: ['connection', 'upgrade'] }],
  ['protocols and extensions', { host: ['Sec-WebSocket-Protocol', 'a, b', 'Sec-WebSocket-Extensions', 'x; y'] }],
]

for (const [why, changes] of accepted) {
  test(`a handshake is accepted: ${why}`, () => {
    assert.deepEqual(readHandshake(handshakeWith(changes)), { key })
  })
}

const refused: [why: string, changes: Partial<typeof lines>][] = [
  ['no Upgrade', { upgrade: [] }],
  ['h2c', { upgrade: ['Upgrade', 'h2c'] }],
  ['websocket among others', { upgrade: ['Upgrade', 'websocket, h2c'] }],
  ['a version of the protocol', { upgrade: ['Upgrade', 'websocket/13'] }],
  ['nearly websocket', { upgrade: ['Upgrade', 'websockets'] }],
  ['two Upgrade lines', { upgrade: ['Upgrade', 'websocket', 'Upgrade', 'websocket'] }],
  ['h2c on a second line', { upgrade: ['Upgrade', 'websocket', 'Upgrade', 'h2c'] }],
  ['no Connection', { connection: [] }],
  ['Connection without Upgrade', { connection: ['Connection', 'keep-alive'] }],
  ['Connection with something like it', { connection: ['Connection', 'x-upgrade, upgrade2'] }],
  ['no version', { version: [] }],
  ['version 8', { version: ['Sec-WebSocket-Version', '8'] }],
  ['two versions', { version: ['Sec-WebSocket-Version', '13', 'Sec-WebSocket-Version', '13'] }],
  ['a list of versions', { version: ['Sec-WebSocket-Version', '13, 8'] }],
  ['no key', { key: [] }],
  ['two keys', { key: ['Sec-WebSocket-Key', key, 'sec-websocket-key', key] }],
  ['a key of 15 bytes', { key: ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25j'] }],
  ['a key of 17 bytes', { key: ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZWU='] }],
  ['a key in base64url', { key: ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25j_-=='] }],
  ['a key without its padding', { key: ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ'] }],
  ['a key with a space', { key: ['Sec-WebSocket-Key', `${key} x`] }],
  ['a length', { host: ['Content-Length', '5'] }],
  ['a length of nothing', { host: ['Content-Length', '0'] }],
  ['a coding', { host: ['Transfer-Encoding', 'chunked'] }],
]

const isRefusal = (error: unknown) => error instanceof GatewayError && error.code === 'ERR_WEBSOCKET_HANDSHAKE'

for (const [why, changes] of refused) {
  test(`a handshake is refused: ${why}`, () => {
    assert.throws(() => readHandshake(handshakeWith(changes)), isRefusal)
  })
}

test('a handshake is refused by another method or version of HTTP', () => {
  for (const change of [{ method: 'POST' }, { method: 'get' }, { httpVersion: '1.0' }, { httpVersion: '2.0' }]) {
    assert.throws(() => readHandshake({ ...handshakeWith({}), ...change }), isRefusal)
  }
})

test('a key is read where there is exactly one', () => {
  assert.equal(readKey(['sec-websocket-KEY', key]), key)
  assert.equal(readKey(['X', 'y']), undefined)
})

const accept = ['Sec-WebSocket-Accept', acceptFor(key)]
const answers: [why: string, opens: boolean, headers: string[]][] = [
  ['as it should be', true, ['Upgrade', 'websocket', 'Connection', 'Upgrade', ...accept]],
  ['another case', true, ['upgrade', 'WebSocket', 'connection', 'x, UPGRADE', ...accept]],
  ['another protocol', false, ['Upgrade', 'h2c', 'Connection', 'Upgrade', ...accept]],
  ['a second protocol', false, ['Upgrade', 'websocket', 'Upgrade', 'h2c', 'Connection', 'Upgrade', ...accept]],
  ['no Upgrade', false, ['Connection', 'Upgrade', ...accept]],
  ['no Connection', false, ['Upgrade', 'websocket', ...accept]],
  ['no proof', false, ['Upgrade', 'websocket', 'Connection', 'Upgrade']],
  ['the key itself for a proof', false, ['Upgrade', 'websocket', 'Connection', 'Upgrade', 'Sec-WebSocket-Accept', key]],
  ['two proofs', false, ['Upgrade', 'websocket', 'Connection', 'Upgrade', ...accept, ...accept]],
  [
    'the proof in capitals',
    false,
    ['Upgrade', 'websocket', 'Connection', 'Upgrade', 'Sec-WebSocket-Accept', acceptFor(key).toUpperCase()],
  ],
]

for (const [why, opens, headers] of answers) {
  test(`a 101 ${opens ? 'opens' : 'does not open'} a WebSocket: ${why}`, () => {
    assert.equal(isAcceptance(headers, key), opens)
  })
}
