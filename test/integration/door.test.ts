import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { openDoor } from '../../src/server/door.ts'
import { until, within } from '../support/deadline.ts'

const anywhere = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1))
}

function answerWith(word: string): (socket: Socket) => void {
  return (socket) => socket.once('data', (data) => socket.end(`${word} ${data}`))
}

test('who comes before somebody serves waits, and none of his bytes is lost', async () => {
  await using door = await openDoor(anywhere)
  const client = connect(portOf(door.address), '127.0.0.1')
  client.write('early')
  await once(client, 'connect')
  const other = connect(portOf(door.address), '127.0.0.1')
  await once(other, 'connect')
  other.destroy()
  door.lead(answerWith('served'))
  assert.equal(await within('the answer', text(client)), 'served early')
})

test('it is led elsewhere while it stays open', async () => {
  await using door = await openDoor(anywhere)
  const ask = async (): Promise<string> => {
    const client = connect(portOf(door.address), '127.0.0.1')
    client.write('x')
    return await text(client)
  }
  door.lead(answerWith('one'))
  assert.equal(await ask(), 'one x')
  door.lead(answerWith('two'))
  assert.equal(await ask(), 'two x')
})

test('closing takes nobody any more, cuts who waits, leaves alone who is served, and frees the address', async () => {
  const door = await openDoor(anywhere)
  const port = portOf(door.address)
  let served: Socket | undefined
  const waiting = connect(port, '127.0.0.1').on('error', () => undefined)
  await once(waiting, 'connect')
  const cut = once(waiting, 'close')
  await door[Symbol.asyncDispose]()
  await within('the one who waits to be cut', cut)
  await using again = await openDoor({ ...anywhere, port })
  again.lead((socket) => {
    served = socket
  })
  const client = connect(port, '127.0.0.1')
  await until('it is served', () => served !== undefined)
  await again[Symbol.asyncDispose]()
  served?.end('still')
  assert.equal(await within('the answer', text(client)), 'still')
})

test('a path has no peers with addresses', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-door-'))
  await using door = await openDoor({ kind: 'unix', path: join(folder, 'socket') })
  assert.deepEqual([door.isUnix, door.address], [true, join(folder, 'socket')])
  await rm(folder, { recursive: true })
})
