import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type SessionNotice, watchNotices } from '../../../src/sessions/watched-notices.ts'
import { LocalCacheWorld } from './local-cache-world.ts'

/** A line with a memory that listens, and what was told, in order. */
function createLine() {
  const world = new LocalCacheWorld()
  const told: string[] = []
  const line = watchNotices(world.notices, world.scheduler)
  line.listen({
    changed: (name) => void told.push(`memory: ${name}`),
    everythingChanged: () => void told.push('memory: everything'),
  })
  const listenerOf = (who: string) => (notice: SessionNotice) => void told.push(`${who}: ${notice}`)
  return { world, told, line, listenerOf }
}

test('whoever watches a session is told of its changes, after memory has forgotten it, and of no other’s', () => {
  const { world, told, line, listenerOf } = createLine()
  line.watch('a', listenerOf('first'))
  line.watch('a', listenerOf('second'))
  line.watch('b', listenerOf('third'))
  world.tell('a')
  world.tell('c')
  world.tell('a')
  assert.deepEqual(told, [
    ...['memory: name of a', 'first: changed', 'second: changed'],
    'memory: name of c',
    ...['memory: name of a', 'first: changed', 'second: changed'],
  ])
})

test('when everything may have changed, everybody is told', () => {
  const { world, told, line, listenerOf } = createLine()
  line.watch('a', listenerOf('first'))
  line.watch('b', listenerOf('second'))
  world.tellEverything()
  assert.deepEqual(told, ['memory: everything', 'first: perhaps', 'second: perhaps'])
})

test('whoever has stopped is told nothing, and stopping twice takes nobody else along', () => {
  const { world, told, line, listenerOf } = createLine()
  const stop = line.watch('a', listenerOf('first'))
  stop()
  line.watch('a', listenerOf('second'))
  stop()
  world.tell('a')
  assert.deepEqual(told, ['memory: name of a', 'second: changed'])
})

test('a line that tells nothing by itself is asked twice a second, while somebody watches', async () => {
  const { world, told, line, listenerOf } = createLine()
  let asked = 0
  world.onAsk = () => {
    asked += 1
    if (asked === 3) world.tellEverything()
  }
  await world.scheduler.pass(5_000)
  assert.equal(asked, 0)
  const stop = line.watch('a', listenerOf('first'))
  await world.scheduler.pass(1_000)
  assert.deepEqual([asked, told], [2, []])
  await world.scheduler.pass(500)
  assert.deepEqual(told, ['memory: everything', 'first: perhaps'])
  stop()
  await world.scheduler.pass(5_000)
  assert.ok(asked <= 4, `asked ${asked} times`)
  assert.equal(world.scheduler.waiting, 0)
  line.watch('b', listenerOf('second'))
  await world.scheduler.pass(1_000)
  assert.ok(asked >= 5)
})

test('closing it closes the line, and nothing is asked any more', async () => {
  const { world, line, listenerOf } = createLine()
  line.watch('a', listenerOf('first'))
  await line[Symbol.asyncDispose]()
  assert.deepEqual([world.closed, world.scheduler.waiting], [['notices'], 0])
})
