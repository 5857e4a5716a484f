import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { closeFrame, createFrameTracker } from '../../../src/proxy/frames.ts'

/** The header of a frame, RFC 6455, section 5.2, with the shortest length that fits. */
function frame({
  opcode = 2,
  isMasked = false,
  length,
}: {
  opcode?: number
  isMasked?: boolean
  length: number
}): Buffer {
  const mask = isMasked ? 0x80 : 0
  const first = 0x80 | opcode
  const extended = Buffer.alloc(length < 126 ? 0 : length < 65_536 ? 2 : 8)
  if (extended.length === 2) extended.writeUInt16BE(length)
  if (extended.length === 8) extended.writeBigUInt64BE(BigInt(length))
  const marker = length < 126 ? length : extended.length === 2 ? 126 : 127
  return Buffer.concat([
    Buffer.of(first, mask | marker),
    extended,
    Buffer.alloc(isMasked ? 4 : 0, 7),
    Buffer.alloc(length, 0xff),
  ])
}

test('property: frames end where they end, however the bytes are cut', () => {
  const anyFrame = fc.record({
    opcode: fc.constantFrom(0, 1, 2, 9, 10),
    isMasked: fc.boolean(),
    length: fc.oneof(fc.integer({ min: 0, max: 130 }), fc.constantFrom(65_535, 65_536, 70_000)),
  })
  fc.assert(
    fc.property(
      fc.array(anyFrame, { maxLength: 8 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 40_000 })),
      (frames, cuts) => {
        const parts = frames.map(frame)
        const bytes = Buffer.concat(parts)
        const ends: number[] = []
        const tracker = createFrameTracker()
        let from = 0
        for (const size of cuts) {
          if (from >= bytes.length) break
          const chunk = bytes.subarray(from, from + size)
          for (let at = 0; at < chunk.length; ) {
            at = tracker.advance(chunk, at)
            if (tracker.isBetweenFrames()) ends.push(from + at)
          }
          from += chunk.length
        }
        let sum = 0
        assert.deepEqual(
          ends,
          parts.map((part) => (sum += part.length)),
        )
        assert.equal(tracker.isBetweenFrames(), true)
        assert.equal(tracker.hasClosed(), false)
      },
    ),
  )
})

test('a tracker stands between frames before the first byte, and within one after it', () => {
  const tracker = createFrameTracker()
  assert.equal(tracker.isBetweenFrames(), true)
  assert.equal(tracker.advance(Buffer.of(0x81), 0), 1)
  assert.equal(tracker.isBetweenFrames(), false)
})

test('a Close frame is noticed when it has ended, whole or in bytes, masked or not', () => {
  for (const isMasked of [true, false]) {
    const bytes = closeFrame({ code: 1000, reason: 'bye', isMasked })
    const tracker = createFrameTracker()
    for (const [i, byte] of bytes.entries()) {
      assert.equal(tracker.hasClosed(), false)
      assert.equal(tracker.advance(Buffer.of(byte), 0), 1)
      assert.equal(tracker.isBetweenFrames(), i === bytes.length - 1)
    }
    assert.equal(tracker.hasClosed(), true)
  }
})

test('a length that no number holds exactly never ends', () => {
  for (const length of ['ffffffffffffffff', '0020000000000000', '8000000000000000']) {
    const tracker = createFrameTracker()
    const bytes = Buffer.concat([Buffer.from(`827f${length}`, 'hex'), Buffer.alloc(100_000)])
    assert.equal(tracker.advance(bytes, 0), bytes.length)
    assert.equal(tracker.isBetweenFrames(), false)
  }
})

test('a Close frame to a client is the bytes of RFC 6455, unmasked', () => {
  assert.equal(closeFrame({ code: 1008, reason: 'over', isMasked: false }).toString('hex'), '880603f06f766572')
})

test('a Close frame to a server is masked with a key of its own', () => {
  const frames = [1, 2, 3].map(() => closeFrame({ code: 1008, reason: 'over', isMasked: true }))
  for (const bytes of frames) {
    assert.equal(bytes.subarray(0, 2).toString('hex'), '8886')
    const mask = bytes.subarray(2, 6)
    const payload = bytes.subarray(6).map((byte, i) => byte ^ (mask[i % 4] ?? 0))
    assert.equal(Buffer.from(payload).toString('hex'), '03f06f766572')
  }
  assert.equal(new Set(frames.map((bytes) => bytes.toString('hex'))).size, 3)
})

test('a reason that is too long is cut after 123 bytes, and never within a character', () => {
  for (const [reason, expected] of [
    ['a'.repeat(123), 'a'.repeat(123)],
    ['a'.repeat(124), 'a'.repeat(123)],
    ['ä'.repeat(62), 'ä'.repeat(61)],
    ['😀'.repeat(31), '😀'.repeat(30)],
    ['', ''],
  ] as const) {
    const bytes = closeFrame({ code: 1001, reason, isMasked: false })
    assert.equal(bytes[1], bytes.length - 2)
    assert.ok(bytes.length <= 127)
    assert.equal(bytes.subarray(4).toString(), expected)
  }
})
