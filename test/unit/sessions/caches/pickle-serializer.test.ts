import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseSessionData, writeSessionData } from '../../../../src/django/json.ts'
import { pickleSerializer } from '../../../../src/sessions/caches/pickle-serializer.ts'

const data = new Map([
  ['userInfo', '{"id":7}'],
  ['ratio', '1.0'],
])

test('a session is what Django writes into its caches', () => {
  const bytes = Buffer.from(pickleSerializer.encode(data))
  // pickle.dumps({"userInfo": {"id": 7}, "ratio": 1.0}, 5)
  const wanted =
    '8005952b000000000000007d94288c0875736572496e666f947d948c026964944b07738c05726174696f94473ff0000000000000752e'
  assert.equal(bytes.toString('hex'), wanted)
  assert.deepEqual(pickleSerializer.decode(bytes), data)
})

test('bytes in the middle of a larger memory are read where they are', () => {
  const around = Buffer.concat([Buffer.from('}}}'), pickleSerializer.encode(data), Buffer.from('}}}')])
  const view = new Uint8Array(around.buffer, around.byteOffset + 3, around.length - 6)
  assert.deepEqual(pickleSerializer.decode(view), data)
})

test('what stands behind a pickle changes nothing', () => {
  assert.deepEqual(
    pickleSerializer.decode(Buffer.concat([pickleSerializer.encode(data), Buffer.from(' \t\n\r')])),
    data,
  )
})

test('JSON, and an integer as Django puts it there without a pickle, are no sessions', () => {
  for (const text of ['{}', '42', '-1', 'null', '']) assert.equal(pickleSerializer.decode(Buffer.from(text)), undefined)
})

test('a marker is a pickled None with the nonce behind it, and no session', () => {
  const marker = pickleSerializer.marker(Buffer.from('0011ff2e', 'hex'))
  assert.equal(Buffer.from(marker).toString('hex'), '80054e2e0011ff2e')
  assert.equal(pickleSerializer.isMarker(marker), true)
  assert.equal(pickleSerializer.decode(marker), undefined)
})

test('no session is a marker, and no two nonces make one', () => {
  const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 })
  fc.assert(
    fc.property(bytes, bytes, (one, other) => {
      const [a, b] = [pickleSerializer.marker(one), pickleSerializer.marker(other)]
      assert.ok(pickleSerializer.isMarker(a))
      assert.equal(Buffer.from(a).equals(b), Buffer.from(one).equals(other))
    }),
  )
  for (const json of ['{}', '{"N.":null}', '{"k":"null"}']) {
    const session = parseSessionData(json)
    assert.ok(session && writeSessionData(session) === json)
    assert.equal(pickleSerializer.isMarker(pickleSerializer.encode(session)), false)
  }
  for (const hex of ['', '80', '80054e', '80057d942e', '6e756c6c']) {
    assert.equal(pickleSerializer.isMarker(Buffer.from(hex, 'hex')), false)
  }
})
