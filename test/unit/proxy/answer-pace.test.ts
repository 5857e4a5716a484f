import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AnswerPace } from '../../../src/proxy/answer-pace.ts'

const stretchMs = 10_000

/** Bytes that come once a second; tells after how many seconds it is too slow. */
function secondsUntilSlow(bytes: number, minBytesPerSecond: number): number {
  const pace = new AnswerPace(minBytesPerSecond, stretchMs, 0)
  for (let second = 1; second < 100; second++) if (!pace.onBytes(bytes, second * 1000)) return second
  return Number.POSITIVE_INFINITY
}

test('what comes fast enough goes on, what drips ends with the first stretch', () => {
  assert.equal(secondsUntilSlow(100, 100), Number.POSITIVE_INFINITY)
  assert.equal(secondsUntilSlow(99, 100), 10)
})

test('each stretch is looked at by itself: a fast beginning pays for nothing', () => {
  const pace = new AnswerPace(100, stretchMs, 0)
  assert.ok(pace.onBytes(1_000_000, 1))
  assert.ok(pace.onBytes(1, 10_000))
  assert.equal(pace.onBytes(999, 20_000), false)
})

test('a stretch in which the client took no more is not held against the app; the next one is', () => {
  const pace = new AnswerPace(100, stretchMs, 0)
  pace.onPaused()
  assert.ok(pace.onBytes(1, 10_000))
  assert.equal(pace.onBytes(1, 20_000), false)
})
