import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import { LookedAt } from '../../../src/proxy/looked-at.ts'
import { turns } from '../../support/deadline.ts'

test('nothing starts in the turn in which it was added, nor in the next one', async () => {
  const lookedAt = new LookedAt()
  const started: number[] = []
  lookedAt.add({ start: () => void started.push(1) })
  await turns(1)
  lookedAt.add({ start: () => void started.push(2) })
  assert.equal(started.length, 0)
  await turns(1)
  assert.deepEqual(started, [1])
  await turns(1)
  assert.deepEqual(started, [1, 2])
  lookedAt.add({ start: () => void started.push(3) })
  await turns(2)
  assert.deepEqual(started, [1, 2, 3])
})

test('what had arrived before something was added is read before it starts', async () => {
  const server = createServer((socket) => void socket.on('error', () => {})).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [socket] = await accepted
  await once(client, 'ready')
  const lookedAt = new LookedAt()
  let received = ''
  client.on('data', (chunk) => {
    received += chunk
  })
  for (let round = 0; round < 50; round++) {
    received = ''
    // On the way back from the kernel; this turn of the loop has looked at the socket already.
    await new Promise((resolve) => socket.write('x', resolve))
    const seen = await new Promise((resolve) => lookedAt.add({ start: () => resolve(received) }))
    assert.equal(seen, 'x')
  }
  client.destroy()
  socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})
