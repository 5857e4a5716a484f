import assert from 'node:assert/strict'
import type { SessionData } from '../../src/django/json.ts'
import { createSessionCodec } from '../../src/django/session-data.ts'
import { createSessionKey } from '../../src/django/session-key.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { ChangeNotices } from '../../src/sessions/change-notices.ts'
import type { LoadResult, SessionEngine } from '../../src/sessions/engine.ts'
import { createLocalCache, type LocalCache, type LocalLookup } from '../../src/sessions/local-cache.ts'
import { until } from '../support/deadline.ts'

/** What every engine of these tests is opened with. */
export const common = {
  codec: createSessionCodec({ secretKey: 'test-secret-key-0123456789' }),
  expiryRules: { cookieAgeSeconds: 1000, expireAtBrowserClose: false, dates: 'iso', useTz: true },
  clock: systemClock,
  newKey: () => createSessionKey(),
} as const

/** Somebody else at the same store. Each of them resolves when the store has answered. */
export interface Stranger {
  create(): Promise<string>
  /** Makes the number under `n` this one. */
  change(key: string, n: number): Promise<void>
  revoke(key: string): Promise<void>
}

/** An engine with sessions in memory, and what its lookups came to. */
export interface Kept extends AsyncDisposable {
  readonly cache: LocalCache
  readonly lookups: Readonly<Record<LocalLookup, number>>
}

/** Resolves when the line stands. */
export async function keep(engine: SessionEngine, notices: ChangeNotices): Promise<Kept> {
  const lookups = { hit: 0, miss: 0, stale: 0, coalesced: 0 }
  await engine.ping()
  const cache = createLocalCache(engine, notices, {
    maxAgeMs: 60_000, // memory alone must not be what makes it forget
    maxEntries: 1000,
    clock: systemClock,
    onLookup: (lookup) => {
      lookups[lookup] += 1
    },
  })
  await until('the line stands', () => notices.isCurrent())
  return { cache, lookups, [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose]() }
}

/** The stranger as another engine on the store. */
export function strangerOn(engine: SessionEngine): Stranger {
  return {
    create: () => engine.create(dataOf(0)),
    async change(key, n) {
      const { kind } = await engine.transition(key, () => ({ kind: 'update', data: dataOf(n) }))
      assert.equal(kind, 'stored')
    },
    async revoke(key) {
      assert.equal(await engine.delete(key), true)
    },
  }
}

function dataOf(n: number): SessionData {
  return new Map([
    ['n', `${n}`],
    ['userInfo', '{"id":7,"name":"Ann"}'],
  ])
}

export interface StalenessOptions {
  readonly changes: number
  /** For so long an answered change may not be seen, in milliseconds. */
  readonly boundMs: number
  /** Of changes, those that end the session. Default a quarter. */
  readonly revocations?: number
}

export interface Staleness {
  readonly loads: number
  /** Loads that gave less than was answered when they began. */
  readonly staleLoads: number
  /** How long after it was answered a change was not seen at most, in milliseconds. */
  readonly worstMs: number
}

const SESSIONS = 20
/** At least: a session that is read once between two changes is never in memory. */
const LOADS_PER_CHANGE = 10
const REVOKED = Number.POSITIVE_INFINITY

/** A session, and what it was made to be: numbers that only grow, and the end. */
interface Slot {
  readonly key: string
  begun: number
  readonly answered: { readonly n: number; readonly atMs: number }[]
}

/**
 * Changes and revokes sessions behind the back of a process that reads them all the time.
 *
 * @throws {AssertionError} for a session that is older than every change that was answered longer than `boundMs` before it was
 * asked for, or that nobody ever made.
 */
export async function changeBehind({ cache }: Kept, stranger: Stranger, options: StalenessOptions): Promise<Staleness> {
  const { changes, boundMs, revocations = 0.25 } = options
  const createSlot = async (): Promise<Slot> => ({ key: await stranger.create(), begun: 0, answered: [] })
  const slots = await Promise.all(Array.from({ length: SESSIONS }, createSlot))
  /** Those that were revoked last: a dead session must not come back either. */
  const graves: Slot[] = []
  const outcome = { loads: 0, staleLoads: 0, worstMs: 0 }
  let isOver = false

  const act = async (slot: Slot, n: number, how: Promise<void>): Promise<void> => {
    slot.begun = n
    await how
    slot.answered.push({ n, atMs: performance.now() })
  }
  const change = async (): Promise<void> => {
    const at = Math.floor(Math.random() * slots.length)
    const slot = slots[at]
    assert.ok(slot)
    if (Math.random() >= revocations) {
      await act(slot, slot.begun + 1, stranger.change(slot.key, slot.begun + 1))
      return
    }
    await act(slot, REVOKED, stranger.revoke(slot.key))
    graves.push(slot)
    if (graves.length > SESSIONS) graves.shift()
    slots[at] = await createSlot()
  }
  const look = async (slot: Slot): Promise<void> => {
    const askedAtMs = performance.now()
    const n = numberOf(cache.loadNow(slot.key) ?? (await cache.load(slot.key)))
    outcome.loads += 1
    assert.ok(n <= slot.begun, `found ${n}, which nobody made yet`)
    const missed = slot.answered.find((made) => made.n > n)
    if (missed === undefined || missed.atMs >= askedAtMs) return
    const staleMs = askedAtMs - missed.atMs
    outcome.staleLoads += 1
    outcome.worstMs = Math.max(outcome.worstMs, staleMs)
    assert.ok(staleMs <= boundMs, `${missed.n} was answered ${staleMs} ms before, and ${n} served`)
  }
  const read = async (): Promise<void> => {
    while (!isOver) {
      for (let i = 0; i < SESSIONS; i++) {
        const from = Math.random() < 0.2 && graves.length > 0 ? graves : slots
        const slot = from[Math.floor(Math.random() * from.length)]
        if (slot !== undefined) await look(slot)
      }
      await turn()
    }
    for (const slot of [...slots, ...graves]) await look(slot)
  }

  const reading = read().finally(() => {
    isOver = true
  })
  reading.catch(() => {}) // it is waited for below
  try {
    for (let i = 0; i < changes && !isOver; i++) {
      await change()
      while (outcome.loads < i * LOADS_PER_CHANGE && !isOver) await turn()
    }
  } finally {
    isOver = true
    await reading
  }
  return outcome
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function numberOf(loaded: LoadResult): number {
  return loaded.found ? Number(loaded.data.get('n')) : REVOKED
}

/** For a test's report. */
export function tellStaleness({ lookups }: Kept, { loads, staleLoads, worstMs }: Staleness): string {
  const late = `${staleLoads} of ${loads} loads missed a change, the worst of them one of ${worstMs.toFixed(1)} ms before`
  return `${late}; ${lookups.hit} from memory, ${lookups.miss} from the store`
}
