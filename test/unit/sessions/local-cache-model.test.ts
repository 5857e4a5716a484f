import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ChangeListener, ChangeNotices } from '../../../src/sessions/change-notices.ts'
import type { LoadResult, SessionEngine, TransitionResult } from '../../../src/sessions/engine.ts'
import { createLocalCache, type LocalCache } from '../../../src/sessions/local-cache.ts'
import { turns } from '../../support/deadline.ts'
import { createTestScheduler } from './test-scheduler.ts'

const KEYS = ['a', 'b']
const MAX_AGE_MS = 100

/** A read of the store on its way: what it will bring is decided when it looks. */
interface Read {
  readonly key: string
  seen: LoadResult | undefined
  readonly finish: (result: LoadResult) => void
}

/** A change through the cache on its way: it happens in the store, and later it is answered. */
interface Change {
  readonly key: string
  version: number | undefined
  readonly finish: (result: TransitionResult) => void
}

/**
 * A store whose sessions are numbers that only grow, and a line that tells of changes late, but in order. `floors` has, for
 * each session, what nobody may be served less of any more: the last change that was told, and the last of our own that
 * was answered.
 */
class LateWorld {
  now = 0
  readonly floors = new Map(KEYS.map((key) => [key, 0]))
  readonly #versions = new Map(KEYS.map((key) => [key, 0]))
  readonly #reads: Read[] = []
  readonly #changes: Change[] = []
  /** Told by the store, and not delivered yet. */
  readonly #notices: { readonly key: string; readonly version: number }[] = []
  #isUp = true
  /** The line stands, but has not shown it for too long. */
  #isSilent = false
  #listener: ChangeListener | undefined
  readonly cache: LocalCache

  constructor() {
    const notices: ChangeNotices = {
      nameOf: (key) => key.toUpperCase(),
      isCurrent: () => this.#isUp && !this.#isSilent,
      listen: (listener) => {
        this.#listener = listener
      },
      onState() {},
      async [Symbol.asyncDispose]() {},
    }
    this.cache = createLocalCache(this.#engine(), notices, {
      maxAgeMs: MAX_AGE_MS,
      maxEntries: 10,
      clock: () => this.now,
      scheduler: createTestScheduler(),
    })
  }

  /** Somebody else changes a session, or this process does so past the cache. */
  changeElsewhere(key: string): void {
    const version = this.#write(key)
    if (this.#isUp) this.#notices.push({ key, version })
  }

  deliver(): void {
    const notice = this.#notices.shift()
    if (notice === undefined) return
    this.#raise(notice.key, notice.version)
    this.#listener?.changed(notice.key.toUpperCase())
  }

  /** What was told is lost with it. It is told at once or when the line stands again. */
  break(isToldAtOnce: boolean): void {
    this.#isUp = false
    this.#notices.length = 0
    if (isToldAtOnce) this.#listener?.everythingChanged()
  }

  mend(): void {
    if (this.#isUp) return
    for (const [key, version] of this.#versions) this.#raise(key, version)
    this.#listener?.everythingChanged()
    this.#isUp = true
  }

  fallSilent(): void {
    this.#isSilent = true
  }

  speak(): void {
    this.#isSilent = false
  }

  /** A read looks; one that has looked comes to its end. */
  advanceRead(choice: number): void {
    const read = this.#reads[choice % Math.max(1, this.#reads.length)]
    if (read === undefined) return
    if (read.seen === undefined) {
      read.seen = this.#load(read.key)
      return
    }
    this.#reads.splice(this.#reads.indexOf(read), 1)
    read.finish(read.seen)
  }

  /** A change happens; one that has happened is answered. */
  advanceChange(choice: number): void {
    const change = this.#changes[choice % Math.max(1, this.#changes.length)]
    if (change === undefined) return
    const { key } = change
    if (change.version === undefined) {
      change.version = this.#write(key)
      if (this.#isUp) this.#notices.push({ key, version: change.version })
      return
    }
    this.#changes.splice(this.#changes.indexOf(change), 1)
    change.finish({ kind: 'stored', key, data: new Map() })
  }

  async change(key: string): Promise<void> {
    let version = 0
    const change = this.cache.transition(key, () => ({ kind: 'keep' }))
    const own = this.#changes.at(-1)
    await change
    version = own?.version ?? 0
    this.#raise(key, version)
  }

  settle(): boolean {
    this.advanceRead(0)
    this.advanceChange(0)
    return this.#reads.length === 0 && this.#changes.length === 0
  }

  #write(key: string): number {
    const version = (this.#versions.get(key) ?? 0) + 1
    this.#versions.set(key, version)
    return version
  }

  #raise(key: string, version: number): void {
    this.floors.set(key, Math.max(this.floors.get(key) ?? 0, version))
  }

  #load(key: string): LoadResult {
    return { found: true, data: new Map([['v', `${this.#versions.get(key)}`]]), expiresAt: undefined }
  }

  #engine(): SessionEngine {
    const absent = async (): Promise<never> => {
      throw new TypeError('not in this store')
    }
    return {
      name: 'db',
      isServerSide: true,
      lists: true,
      admits: () => 'ask',
      load: (key) => new Promise((finish) => this.#reads.push({ key, seen: undefined, finish })),
      transition: (key) => new Promise((finish) => this.#changes.push({ key, version: undefined, finish })),
      create: absent,
      adopt: absent,
      delete: absent,
      async *entries() {},
      clearExpired: absent,
      countExpired: () => undefined,
      ping: absent,
      async [Symbol.asyncDispose]() {},
    }
  }
}

function versionOf(loaded: LoadResult): number {
  assert.ok(loaded.found)
  return Number(loaded.data.get('v'))
}

/** One step of a history; `n` picks a session, or one of the things that are on their way. */
type Step = readonly [kind: (typeof kinds)[number], n: number]
const kinds = [
  ...(['load', 'load', 'load', 'advance a read', 'advance a read', 'advance a read', 'advance a read'] as const),
  ...(['change elsewhere', 'change here', 'advance a change', 'advance a change', 'deliver', 'deliver'] as const),
  ...(['break', 'mend', 'mend', 'mend', 'fall silent', 'speak', 'speak', 'speak', 'pass time'] as const),
] as const

/** What came of the histories, so that one sees that they were about something. */
interface Tally {
  hits: number
  loads: number
}

async function live(steps: readonly Step[], tally: Tally): Promise<void> {
  const world = new LateWorld()
  const running: Promise<unknown>[] = []
  const load = async (key: string): Promise<void> => {
    const floor = world.floors.get(key) ?? 0
    const loaded = versionOf(await world.cache.load(key))
    assert.ok(loaded >= floor, `loaded ${loaded}, and ${floor} was told before`)
    tally.loads += 1
  }
  const look = (key: string): void => {
    const now = world.cache.loadNow(key)
    if (now === undefined) return
    const floor = world.floors.get(key) ?? 0
    assert.ok(versionOf(now) >= floor, `served ${versionOf(now)}, and ${floor} was told before`)
    tally.hits += 1
  }
  const actions: Readonly<Record<Step[0], (n: number, key: string) => unknown>> = {
    load: (_n, key) => running.push(load(key)),
    'advance a read': (n) => world.advanceRead(n),
    'change elsewhere': (_n, key) => world.changeElsewhere(key),
    'change here': (_n, key) => running.push(world.change(key)),
    'advance a change': (n) => world.advanceChange(n),
    deliver: () => world.deliver(),
    break: (n) => world.break(n % 2 === 0),
    mend: () => world.mend(),
    'fall silent': () => world.fallSilent(),
    speak: () => world.speak(),
    'pass time': (n) => {
      world.now += n * 10
    },
  }
  for (const [kind, n] of steps) {
    actions[kind](n, KEYS[n % KEYS.length] ?? 'a')
    for (const key of KEYS) look(key)
    await turns(1)
  }
  while (!world.settle()) await turns(2)
  await turns(4)
  while (!world.settle()) await turns(2)
  await Promise.all(running)
}

test('in no history of reads, changes and late notices is anything served that is older than what was told', async () => {
  const tally: Tally = { hits: 0, loads: 0 }
  const step = fc.tuple(fc.constantFrom(...kinds), fc.nat(9))
  const histories = fc.array(step, { minLength: 10, maxLength: 100, size: 'max' })
  await fc.assert(
    fc.asyncProperty(histories, (steps) => live(steps, tally)),
    { numRuns: 500 },
  )
  assert.ok(tally.hits > 1000, `only ${tally.hits} hits`)
  assert.ok(tally.loads > 1000, `only ${tally.loads} loads`)
})
