import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { whileWaiting } from '../../../src/cli/waiting.ts'
import { until, within } from '../../support/deadline.ts'
import { openFakeServer } from './command-run.ts'

function watch(isTerminal: boolean) {
  const told: string[] = []
  const context = { tell: (text: string) => void told.push(text), isTerminal, onInterrupt: () => () => undefined }
  return { told, context }
}

describe('a long wait', () => {
  test('is shown on a terminal, and nothing of it is left', async () => {
    const { told, context } = watch(true)
    const over = Promise.withResolvers<number>()
    const waiting = whileWaiting(context, { what: 'clearing', isQuiet: false }, () => over.promise)
    await until('it is shown', () => told.length > 0)
    over.resolve(7)
    assert.equal(await waiting, 7)
    assert.match(told[0]?.replace('\r\u001b[2K', '') ?? '', /^\[=.*\] clearing, 0:01$/)
    assert.equal(told.at(-1), '\r\u001b[2K')
  })

  test('that is over at once, or in a pipe, shows nothing', async () => {
    for (const isTerminal of [true, false]) {
      const { told, context } = watch(isTerminal)
      await whileWaiting(context, { what: 'clearing', isQuiet: false }, async () => 1)
      assert.deepEqual(told, [])
    }
  })

  test('is ended by Ctrl-C, with 1', async () => {
    await using gateway = await openFakeServer(
      (asked) =>
        ({ url }) =>
          void asked.push(`${url}`),
    )
    const clearing = gateway.start(['store', 'clear-expired'])
    await until('it is asked', () => gateway.asked.length > 0)
    clearing.interrupt()
    const { code, stderr } = await within('the end', clearing.ended)
    assert.deepEqual([code, stderr], [1, 'sessiongate: interrupted; what the gateway has begun goes on\n'])
  })
})
