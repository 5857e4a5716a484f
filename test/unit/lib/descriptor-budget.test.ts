import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DescriptorBudget } from '../../../src/lib/descriptor-budget.ts'
import { parseOpenFilesLimit } from '../../../src/lib/open-files.ts'

/** How many of them are granted before the first no. */
function granted(take: () => boolean): number {
  let count = 0
  while (count < 100_000 && take()) count += 1
  return count
}

const shares: [openFiles: number, clients: number, upstream: number][] = [
  [256, 168, 96],
  [1_024, 784, 448],
  [20_000, 17_388, 9_936],
]

for (const [openFiles, clients, upstream] of shares) {
  test(`of ${openFiles} open files clients alone get ${clients}, and apps alone ${upstream}`, () => {
    const crowded = new DescriptorBudget(openFiles)
    assert.equal(
      granted(() => crowded.takeClient()),
      clients,
    )
    const hanging = new DescriptorBudget(openFiles)
    assert.equal(granted(hanging.openRoom().take), upstream)
  })
}

test('a crowd of clients leaves an eighth for apps, and apps that hang leave half for clients', () => {
  const crowded = new DescriptorBudget(256)
  granted(() => crowded.takeClient())
  assert.equal(granted(crowded.openRoom().take), 24)
  const hanging = new DescriptorBudget(256)
  granted(hanging.openRoom().take)
  assert.equal(
    granted(() => hanging.takeClient()),
    96,
  )
})

test('what is given back can be taken again', () => {
  const budget = new DescriptorBudget(256)
  const room = budget.openRoom()
  granted(() => budget.takeClient())
  granted(room.take)
  assert.deepEqual([budget.takeClient(), room.take()], [false, false])
  budget.freeClient()
  assert.equal(budget.clients, 167)
  assert.ok(budget.takeClient())
  room.free()
  assert.ok(room.take())
})

test('unused connections are closed for somebody else before anybody is told no', () => {
  const budget = new DescriptorBudget(256)
  let unused = 3
  const room = budget.openRoom()
  const leave = room.addKeeper(() => {
    if (unused === 0) return false
    unused -= 1
    room.free()
    return true
  })
  assert.equal(granted(room.take), 96 + 3)
  unused = 1
  leave()
  assert.equal(room.take(), false)
})

test('of several upstreams one that hangs leaves each of the others its share', () => {
  const budget = new DescriptorBudget(256)
  const rooms = Array.from({ length: 3 }, () => budget.openRoom())
  const [hanging, second, third] = rooms
  for (const room of rooms) room.addKeeper(() => false)
  assert.equal(hanging && granted(hanging.take), 72)
  assert.equal(second && granted(second.take), 8)
  assert.equal(third && granted(third.take), 8)
  assert.equal(hanging?.take(), false)
})

test('without a limit on open files nobody is told no', () => {
  const budget = new DescriptorBudget(undefined)
  assert.equal(
    granted(() => budget.takeClient()),
    100_000,
  )
  assert.equal(granted(budget.openRoom().take), 100_000)
})

test('the limit is the soft one of /proc/self/limits', () => {
  const line = (soft: string): string =>
    `Limit                     Soft Limit           Hard Limit           Units     \nMax processes             95             95             processes \nMax open files            ${soft.padEnd(21)}524288               files     \n`
  assert.equal(parseOpenFilesLimit(line('1024')), 1024)
  assert.equal(parseOpenFilesLimit(line('unlimited')), undefined)
  assert.equal(parseOpenFilesLimit(''), undefined)
})
