import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoize } from '../../../src/lib/memo.ts'

function countingParser(): { parse: (text: string) => { text: string } | undefined; asked: string[] } {
  const asked: string[] = []
  const parse = (text: string): { text: string } | undefined => {
    asked.push(text)
    return text.startsWith('bad') ? undefined : { text }
  }
  return { parse, asked }
}

test('the same text is parsed once, and gives the same object', () => {
  const { parse, asked } = countingParser()
  const recall = memoize(parse, 10)
  assert.equal(recall('a'), recall('a'))
  assert.deepEqual(recall('b'), { text: 'b' })
  assert.deepEqual(asked, ['a', 'b'])
})

test('a refusal is given again, and takes no place', () => {
  const { parse, asked } = countingParser()
  const recall = memoize(parse, 1)
  recall('a')
  for (let i = 0; i < 3; i++) assert.equal(recall(`bad${i}`), undefined)
  assert.equal(recall('bad0'), undefined)
  recall('a')
  assert.deepEqual(asked, ['a', 'bad0', 'bad1', 'bad2', 'bad0'])
})

test('never more than the limit is remembered, whoever chooses the texts', () => {
  const { parse, asked } = countingParser()
  const recall = memoize(parse, 3)
  for (const text of ['a', 'b', 'c', 'd']) recall(text)
  recall('d')
  assert.deepEqual(asked, ['a', 'b', 'c', 'd'])
  recall('a')
  assert.deepEqual(asked, ['a', 'b', 'c', 'd', 'a'])
})
