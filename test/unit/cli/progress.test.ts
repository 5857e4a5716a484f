import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createProgress, type Progress } from '../../../src/cli/progress.ts'

interface Watched {
  readonly progress: Progress
  readonly told: string[]
  readonly pass: (ms: number) => void
}

function watch(options: { readonly isTerminal: boolean; readonly isQuiet?: boolean }): Watched {
  const told: string[] = []
  let now = 1000
  const context = { tell: (text: string) => void told.push(text), isTerminal: options.isTerminal }
  const progress = createProgress({ context, what: 'copied', isQuiet: options.isQuiet ?? false, nowMs: () => now })
  return {
    progress,
    told,
    pass(ms) {
      now += ms
    },
  }
}

describe('progress', () => {
  test('on a terminal is one line that is written over, ten times a second at most', () => {
    const { progress, told, pass } = watch({ isTerminal: true })
    for (let i = 1; i <= 100; i++) {
      pass(10)
      progress.show(i * 1000)
    }
    assert.equal(told.length, 10)
    assert.ok(told.every((text) => text.startsWith('\r\u001b[2K[') && !text.includes('\n')))
    assert.match(told.at(-1) ?? '', /\] 100,000 copied, 100,000\/s, 0:01$/)
    assert.equal(new Set(told.map((text) => text.indexOf('='))).size, 10, 'and moves')
    progress.end()
    assert.equal(told.at(-1), '\r\u001b[2K')
  })

  test('elsewhere is a plain line every five seconds', () => {
    const { progress, told, pass } = watch({ isTerminal: false })
    for (let i = 1; i <= 100; i++) {
      pass(100)
      progress.show(i)
    }
    progress.end()
    assert.deepEqual(told, ['50 copied, 10/s, 0:05\n', '100 copied, 10/s, 0:10\n'])
  })

  test('says nothing when it is to be quiet, or when all is done at once', () => {
    for (const isTerminal of [true, false]) {
      const quiet = watch({ isTerminal, isQuiet: true })
      quiet.pass(60_000)
      quiet.progress.show(5)
      quiet.progress.end()
      const quick = watch({ isTerminal })
      quick.progress.show(5)
      quick.progress.end()
      assert.deepEqual([quiet.told, quick.told], [[], []])
    }
  })

  test('counts hours where it takes hours', () => {
    const { progress, told, pass } = watch({ isTerminal: false })
    pass(3_725_000)
    progress.show(1_000_000)
    assert.deepEqual(told, ['1,000,000 copied, 268/s, 1:02:05\n'])
  })
})
