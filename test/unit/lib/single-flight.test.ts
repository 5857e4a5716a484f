import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSingleFlight } from '../../../src/lib/single-flight.ts'
import { turns } from '../../support/deadline.ts'

/** Flights that land when they are told to. */
function createAirport() {
  const flights: { key: string; land: (value: number) => void; crash: (error: Error) => void }[] = []
  const board = createSingleFlight((key: string) => {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    flights.push({ key, land: resolve, crash: reject })
    return promise
  })
  return { flights, board }
}

test('calls that come while a flight is under way share the next one, and not this one', async () => {
  const { flights, board } = createAirport()
  const first = board('a')
  const others = [board('a'), board('a'), board('a')]
  assert.equal(flights.length, 1)
  flights[0]?.land(1)
  assert.equal(await first, 1)
  await turns(1)
  assert.equal(flights.length, 2)
  const late = board('a')
  flights[1]?.land(2)
  assert.deepEqual(await Promise.all(others), [2, 2, 2])
  await turns(1)
  flights[2]?.land(3)
  assert.equal(await late, 3)
})

test('flights of different keys do not wait for each other', async () => {
  const { flights, board } = createAirport()
  void board('a')
  const other = board('b')
  flights[1]?.land(2)
  assert.equal(await other, 2)
  flights[0]?.land(1)
})

test('a flight that fails fails alone', async () => {
  const { flights, board } = createAirport()
  const first = board('a')
  const second = board('a')
  flights[0]?.crash(new Error('failed'))
  await assert.rejects(first, /failed/)
  await turns(1)
  flights[1]?.land(2)
  assert.equal(await second, 2)
})

test('after the last flight has landed the next call starts one at once', async () => {
  const { flights, board } = createAirport()
  const first = board('a')
  flights[0]?.land(1)
  await first
  await turns(1)
  void board('a')
  assert.equal(flights.length, 2)
  flights[1]?.land(2)
})
