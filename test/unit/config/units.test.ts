import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseDuration, parseSize } from '../../../src/config/units.ts'

const durations: [why: string, text: string, ms: number | undefined][] = [
  ['milliseconds', '300ms', 300],
  ['seconds', '30s', 30_000],
  ['minutes', '15m', 900_000],
  ['hours', '1h', 3_600_000],
  ['days', '14d', 1_209_600_000],
  ['nothing at all is a duration; whether it may be is not asked here', '0s', 0],
  ['a bare number has no unit', '30', undefined],
  ['a space is not part of it', '30 s', undefined],
  ['capitals are other units elsewhere', '30S', undefined],
  ['a fraction is written in the smaller unit', '1.5h', undefined],
  ['two units are not added up', '1h30m', undefined],
  ['there is no time before now', '-1s', undefined],
  ['a number that cannot be held exactly', '999999999999999d', undefined],
  ['no number', 's', undefined],
  ['no text', '', undefined],
  ['a line break behind it', '30s\n', undefined],
]

for (const [why, text, ms] of durations) {
  test(`a duration of ${JSON.stringify(text)} is ${ms} ms: ${why}`, () => {
    assert.equal(parseDuration(text), ms)
  })
}

const sizes: [why: string, text: string, bytes: number | undefined][] = [
  ['bytes', '512B', 512],
  ['1024 each', '16KiB', 16_384],
  ['1000 each', '10KB', 10_000],
  ['1024 twice', '2MiB', 2_097_152],
  ['1000 twice', '10MB', 10_000_000],
  ['1024 three times', '1GiB', 1_073_741_824],
  ['1000 three times', '1GB', 1_000_000_000],
  ['k alone could be either', '16k', undefined],
  ['a bare number is no text', '16', undefined],
  ['a fraction', '1.5MB', undefined],
  ['letters in another case', '16kib', undefined],
]

for (const [why, text, bytes] of sizes) {
  test(`a size of ${JSON.stringify(text)} is ${bytes} bytes: ${why}`, () => {
    assert.equal(parseSize(text), bytes)
  })
}

test('whatever the text, the result is a whole number of at least 0, or none', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{1,18}(ms|s|m|h|d|B|KiB|MB)$/)), (text) => {
      for (const value of [parseDuration(text), parseSize(text)]) {
        assert.ok(value === undefined || (Number.isSafeInteger(value) && value >= 0))
      }
    }),
  )
})
