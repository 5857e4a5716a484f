import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { Account, PaceWatch } from '../../../src/server/pace.ts'
import { eventWithin } from '../../support/deadline.ts'

function openAccount({ startsFull = false, mostBehindMs = 0 } = {}) {
  const client = { moved: 0, isItsTurn: true }
  const account = new Account(
    { movedBytes: () => client.moved, isClientsTurn: () => client.isItsTurn, onTooSlow: () => undefined },
    { pace: { graceMs: 20_000, minBytesPerSecond: 500 }, mostBehindMs, startsFull },
  )
  /** Looks once a second while so many bytes move in each, and tells after how many it was too slow. */
  function pass(seconds: number, bytesPerSecond: number): number {
    for (let second = 1; second <= seconds; second++) {
      client.moved += bytesPerSecond
      if (!account.look(1_000)) return second
    }
    return Number.POSITIVE_INFINITY
  }
  return { client, pass }
}

test('who sends nothing has the grace', () => {
  assert.equal(openAccount().pass(100, 0), 20)
})

test('who sends as fast as he must is never too slow, and who is a little faster neither', () => {
  assert.equal(openAccount().pass(10_000, 500), Number.POSITIVE_INFINITY)
  assert.equal(openAccount().pass(10_000, 501), Number.POSITIVE_INFINITY)
})

test('who drips is too slow when he is behind by the grace', () => {
  assert.equal(openAccount().pass(100, 1), 21)
  assert.equal(openAccount().pass(100, 250), 40)
})

test('a fast beginning pays for as much standing still as is allowed, and for no more', () => {
  const burst = openAccount({ mostBehindMs: 60_000 })
  burst.pass(1, 10_000_000)
  assert.equal(burst.pass(1_000, 0), 60)
  const short = openAccount()
  short.pass(1, 10_000_000)
  assert.equal(short.pass(1_000, 0), 20)
})

test('whoever may be behind from the start is so', () => {
  assert.equal(openAccount({ mostBehindMs: 60_000, startsFull: true }).pass(1_000, 0), 60)
})

test('time in which somebody else is waited for does not count, and makes good what did', () => {
  const { client, pass } = openAccount()
  assert.equal(pass(19, 0), Number.POSITIVE_INFINITY)
  client.isItsTurn = false
  assert.equal(pass(1_000, 0), Number.POSITIVE_INFINITY)
  client.isItsTurn = true
  // The look at which it is his turn again looks back on a second that was not.
  assert.equal(pass(100, 0), 21)
})

test('one watch looks at all, tells of the slow ones once, and not of those that have stopped', async () => {
  const watch = new PaceWatch()
  const told = new EventEmitter()
  const slow: string[] = []
  const options = (graceMs: number) => ({
    pace: { graceMs, minBytesPerSecond: 500 },
    mostBehindMs: 0,
    startsFull: false,
  })
  const paced = (name: string) => ({
    movedBytes: () => 0,
    isClientsTurn: () => true,
    onTooSlow() {
      slow.push(name)
      told.emit(name)
    },
  })
  watch.watch(paced('patient'), options(60_000))
  const stop = watch.watch(paced('stopped'), options(400))
  watch.watch(paced('late'), options(400))
  stop()
  // Its timers do not keep the process alive.
  const alive = setInterval(() => undefined, 1_000)
  await eventWithin(told, 'late')
  clearInterval(alive)
  assert.deepEqual(slow, ['late'])
})
