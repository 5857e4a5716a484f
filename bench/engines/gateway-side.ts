/**
 * The gateway's side of `bench/engines.ts`, a process of its own: opens the engine of a configuration as `serve` does,
 * guarded and observed, and then does what each line of JSON on stdin says. A line of JSON answers.
 */
import { createInterface } from 'node:readline'
import { loadConfig } from '../../src/config/loading.ts'
import type { SessionData } from '../../src/django/json.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { openSessionParts } from '../../src/session-parts.ts'
import { type LastNumbers, type MergeSample, type MergeSlot, measure, type Sample, type Slot } from './measure.ts'
import { SESSION_BYTES, sampleSession } from './sample-session.ts'

const nothing = (): void => {}
const { config } = await loadConfig({ path: process.argv[2] ?? '', env: {} })
const { engine } = await openSessionParts(config, {
  clock: systemClock,
  observer: {
    onOperation: nothing,
    onState: nothing,
    onCacheState: nothing,
    onCacheLookup: nothing,
    onIndexState: nothing,
  },
})

async function seed({ count }: { count: number }): Promise<string[]> {
  const data = sampleSession(SESSION_BYTES)
  const keys: string[] = []
  for (let i = 0; i < count; i++) keys.push(await engine.create(data))
  return keys
}

/** Each worker goes round in sessions of its own, so that no two meet in one. */
function keyOf({ keys, inFlight }: Slot): (worker: number) => string {
  const steps = new Array<number>(inFlight).fill(0)
  return (worker) => {
    const step = steps[worker] ?? 0
    steps[worker] = step + 1
    return keys[(worker + step * inFlight) % (keys.length - (keys.length % inFlight))] ?? ''
  }
}

/** Every session is read once before: the cache of `cached_db` is filled by the first read after a change. */
async function load(slot: Slot): Promise<Sample> {
  for (const key of slot.keys) await engine.load(key)
  const next = keyOf(slot)
  return await measure(async (worker) => {
    const { found } = await engine.load(next(worker))
    if (!found) throw new Error('a session was not found')
  }, slot)
}

async function change(key: string, step: (now: SessionData) => SessionData): Promise<void> {
  const { kind } = await engine.transition(key, (now) => ({ kind: 'update', data: step(now) }))
  if (kind !== 'stored') throw new Error(`a change ended as ${kind}`)
}

async function save(slot: Slot): Promise<Sample> {
  const next = keyOf(slot)
  let number = 0
  return await measure((worker) => {
    const text = String(++number)
    return change(next(worker), (now) => new Map(now).set('seen', text))
  }, slot)
}

/** Each writer counts in a member of its own, and looks each time whether its last number is still there. */
async function merge({ keys, seconds, names }: MergeSlot): Promise<MergeSample> {
  const [key = ''] = keys
  const last: Record<string, number> = {}
  let lost = 0
  const write = async (worker: number): Promise<void> => {
    const name = names[worker] ?? ''
    const before = last[name]
    const number = (before ?? 0) + 1
    let found: string | undefined
    await change(key, (now) => {
      found = now.get(name)
      return new Map(now).set(name, String(number))
    })
    if (before !== undefined && found !== String(before)) lost += 1
    last[name] = number
  }
  return { ...(await measure(write, { seconds, inFlight: names.length })), lost, last }
}

async function missing({ key, last }: { key: string; last: LastNumbers }): Promise<number> {
  const end = await engine.load(key)
  return Object.entries(last).filter(([name, number]) => !end.found || end.data.get(name) !== String(number)).length
}

async function answer(line: string): Promise<unknown> {
  const [command, given] = JSON.parse(line)
  switch (command) {
    case 'seed':
      return await seed(given)
    case 'load':
      return await load(given)
    case 'save':
      return await save(given)
    case 'merge':
      return await merge(given)
    case 'missing':
      return await missing(given)
    default:
      throw new TypeError(`there is no ${command}`)
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(line).then(
    (value) => ({ value }),
    (error: unknown) => ({ error: String(error) }),
  )
  process.stdout.write(`${JSON.stringify(reply)}\n`)
}
await engine[Symbol.asyncDispose]()
