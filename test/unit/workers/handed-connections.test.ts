import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { type Channel, returnUntaken } from '../../../src/workers/handed-connections.ts'
import { until } from '../../support/deadline.ts'

/** A worker's process as cluster's primary holds it, with two connections on their way; it has taken the first. */
function handTwo(hasOthers: boolean) {
  const sent: unknown[] = []
  const closed: number[] = []
  const refused: unknown[] = []
  const child = Object.assign(new EventEmitter(), {
    connected: true,
    send(message: unknown) {
      sent.push(message)
      return true
    },
  })
  returnUntaken(child as unknown as Channel, { hasOthers: () => hasOthers })
  for (const seq of [1, 2]) {
    const connection = { close: () => void closed.push(seq) }
    Reflect.apply(child.send, child, [{ cmd: 'NODE_CLUSTER', act: 'newconn', seq }, connection])
  }
  child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack: 1, accepted: true })
  child.on('internalMessage', (message) => refused.push(message))
  return { child, sent, closed, refused }
}

const refusal = { cmd: 'NODE_CLUSTER', ack: 2, accepted: false }

test('what a worker had not taken when it died goes to another, as if it had been refused', () => {
  const { child, sent, closed, refused } = handTwo(true)
  assert.equal(sent.length, 2)
  child.emit('disconnect')
  assert.deepEqual([refused, closed], [[refusal], []])
})

test('where there is no other, it is closed', () => {
  const { child, closed, refused } = handTwo(false)
  child.emit('disconnect')
  assert.deepEqual([refused, closed], [[], [2]])
})

test('the end of the process is enough, once all that it said is read', async () => {
  const { child, refused } = handTwo(true)
  child.emit('exit', null, 'SIGKILL')
  assert.deepEqual(refused, [])
  child.connected = false
  await until('it is handed on', () => refused.length === 1)
  child.emit('disconnect')
  assert.deepEqual(refused, [refusal], 'once')
})
