import assert from 'node:assert/strict'
import { type SessionData, writeSessionData } from '../../../src/django/json.ts'
import type { EpochMs } from '../../../src/lib/clock.ts'
import {
  type AbsenceReason,
  type LoadResult,
  NotAdoptableError,
  type SessionEngine,
  type SessionEntry,
  type Transition,
  type TransitionResult,
} from '../../../src/sessions/engine.ts'
import { createReadAlsoEngine, type ReadAlsoOptions } from '../../../src/sessions/engines/read-also.ts'
import { fileKeyVerdict, keyVerdict } from '../../../src/sessions/key-verdict.ts'
import { Mover } from '../../../src/sessions/moving.ts'
import { storeUnavailable } from '../../../src/sessions/store-failure.ts'
import { sessionOf } from '../../contract/session-engine-world.ts'

/** Lets one step of a store happen, whenever that is: at once, or when the test says so. */
export type Step = <T>(name: string, effect: () => T, key?: string) => Promise<T>

export const atOnce: Step = async (_name, effect) => effect()

/** The one session that all are at. */
export const KEY = 'thesession'

const LIFE_MS = 1_000_000

interface Row {
  readonly data: SessionData
  readonly expiresAt: EpochMs
}

/** One store, each of whose operations is one step. Expired rows stay. */
export class PlainStore {
  readonly rows = new Map<string, Row>()
  readonly name: string
  /** `a-z0-9` only, as in file names. */
  readonly hasFileKeys: boolean
  isDown = false
  readonly #clock: () => EpochMs
  readonly #newKey: () => string

  constructor(name: string, world: { clock: () => EpochMs; newKey: () => string; hasFileKeys?: boolean }) {
    this.name = name
    this.hasFileKeys = world.hasFileKeys ?? false
    this.#clock = world.clock
    this.#newKey = world.newKey
  }

  put(key: string, json: string, expiresAt: EpochMs = this.#clock() + LIFE_MS): void {
    this.rows.set(key, { data: sessionOf(json), expiresAt })
  }

  /** The store as one process sees it. */
  connect(step: Step): SessionEngine {
    const run = <T>(name: string, effect: () => T, key?: string): Promise<T> => {
      const safely = (): T => {
        if (this.isDown) throw storeUnavailable(`${this.name} is down`)
        return effect()
      }
      return step(`${this.name}.${name}`, safely, key)
    }
    const admits = this.hasFileKeys ? fileKeyVerdict : keyVerdict
    const transition = (key: string, decide: (now: SessionData) => Transition) =>
      run('transition', () => this.#change(key, decide), key)
    const list = () => [...this.rows]
    const count = (limit: number) => this.#over(limit).length
    const read = (key: string) => this.#read(key)
    return {
      name: 'db',
      isServerSide: true,
      lists: true,
      admits,
      load: (key) => run('load', () => this.#read(key), key),
      create: (data) => run('create', () => this.#insert(this.#newKey(), data, undefined) ?? assert.fail()),
      adopt: ({ key, data, expiresAt }) =>
        run(
          'adopt',
          () => {
            if (admits(key) !== 'ask') throw new NotAdoptableError('no such keys here')
            return this.#insert(key, data, expiresAt) !== undefined
          },
          key,
        ),
      transition,
      delete: async (key) => (await transition(key, () => ({ kind: 'delete' }))).kind === 'deleted',
      async *entries(): AsyncIterable<SessionEntry> {
        for (const [key] of await run('entries', list)) {
          const loaded = await run('entry', () => read(key))
          if (loaded.found) yield { key, data: loaded.data, expiresAt: loaded.expiresAt }
        }
      },
      clearExpired: (limit) => run('clearExpired', () => this.#clear(limit)),
      async *countExpired(limit): AsyncIterable<number> {
        yield await run('countExpired', () => count(limit))
      },
      ping: () => run('ping', () => undefined),
      async [Symbol.asyncDispose]() {},
    }
  }

  #read(key: string): LoadResult {
    const row = this.rows.get(key)
    if (row === undefined) return { found: false, reason: 'not_found' }
    if (row.expiresAt <= this.#clock()) return { found: false, reason: 'expired' }
    return { found: true, data: row.data, expiresAt: row.expiresAt }
  }

  #insert(key: string, data: SessionData, expiresAt: EpochMs | undefined): string | undefined {
    if (this.rows.has(key)) return undefined
    this.rows.set(key, { data, expiresAt: expiresAt ?? this.#clock() + LIFE_MS })
    return key
  }

  #change(key: string, decide: (now: SessionData) => Transition): TransitionResult {
    const current = this.#read(key)
    if (!current.found) return { kind: 'gone', reason: current.reason }
    const next = decide(current.data)
    if (next.kind === 'keep') return { kind: 'kept', data: current.data }
    this.rows.delete(key)
    if (next.kind === 'delete') return { kind: 'deleted' }
    const expiresAt = next.kind === 'update' ? next.expiresAt : undefined
    const stored = this.#insert(next.kind === 'update' ? key : this.#newKey(), next.data, expiresAt)
    return { kind: 'stored', key: stored ?? assert.fail(), data: next.data }
  }

  #clear(limit: number): number {
    const over = this.#over(limit)
    for (const [key] of over) this.rows.delete(key)
    return over.length
  }

  #over(limit: number) {
    return [...this.rows].filter(([, { expiresAt }]) => expiresAt <= this.#clock()).slice(0, limit)
  }
}

/** What an operation on the session came to, and when it began and ended, counted in steps. */
interface Answer {
  readonly op: 'load' | 'change' | 'cycle' | 'delete' | 'take'
  readonly outcome: 'found' | 'done' | AbsenceReason
  readonly begun: number
  ended: number
  /** The number under `n` that was read or stored. */
  readonly n: number | undefined
}

/**
 * A session that lies in the old store, `n` being 0, and gateways that read both stores. Each change adds one to `n`, also
 * where it makes a new key.
 */
export class TwoStores {
  now = 1_000_000_000
  readonly answers: Answer[] = []
  readonly old: PlainStore
  readonly new: PlainStore
  #lastKey = 0
  #moment = 0

  constructor({ newHasFileKeys = false }: { newHasFileKeys?: boolean } = {}) {
    const world = { clock: () => this.now, newKey: () => `freshkey${++this.#lastKey}` }
    this.old = new PlainStore('old', world)
    this.new = new PlainStore('new', { ...world, hasFileKeys: newHasFileKeys })
    this.old.put(KEY, '{"n":0}')
  }

  /** A gateway to which sessions move (`to main`), or one that is not so far yet (`never`). */
  connect(step: Step, moves: ReadAlsoOptions['moves'] = 'to main'): SessionEngine {
    const [main, also] = moves === 'to main' ? [this.new, this.old] : [this.old, this.new]
    return createReadAlsoEngine(main.connect(ofTheSession(step)), also.connect(ofTheSession(step)), {
      moves,
      ...this.#keys,
    })
  }

  mover(step: Step): Mover {
    return new Mover({
      from: this.old.connect(ofTheSession(step)),
      to: this.new.connect(ofTheSession(step)),
      ...this.#keys,
    })
  }

  get #keys() {
    return { clock: () => this.now, newKey: () => `freshkey${++this.#lastKey}` }
  }

  async load(engine: SessionEngine): Promise<void> {
    const begun = ++this.#moment
    const loaded = await engine.load(KEY)
    this.#note({
      op: 'load',
      outcome: loaded.found ? 'found' : loaded.reason,
      begun,
      n: loaded.found ? numberIn(loaded.data) : undefined,
    })
  }

  async change(engine: SessionEngine): Promise<void> {
    await this.#transition('change', engine, (data) => ({ kind: 'update', data: raised(data) }))
  }

  async cycle(engine: SessionEngine): Promise<void> {
    await this.#transition('cycle', engine, (data) => ({ kind: 'cycle', data: raised(data) }))
  }

  async delete(engine: SessionEngine): Promise<void> {
    await this.#transition('delete', engine, () => ({ kind: 'delete' }))
  }

  async take(mover: Mover): Promise<void> {
    const begun = ++this.#moment
    const removal = await mover.take(KEY)
    assert.notEqual(removal, 'unadoptable')
    this.#note({ op: 'take', outcome: removal === 'gone' ? 'not_found' : 'found', begun, n: undefined })
  }

  async #transition(op: Answer['op'], engine: SessionEngine, decide: (data: SessionData) => Transition): Promise<void> {
    const begun = ++this.#moment
    const result = await engine.transition(KEY, (data) => {
      assert.ok(!data.has('_gw'), 'nobody who changes a session sees the marks of a move')
      return decide(data)
    })
    const outcome = result.kind === 'gone' ? result.reason : 'done'
    this.#note({ op, outcome, begun, n: result.kind === 'stored' ? numberIn(result.data) : undefined })
  }

  #note(answer: Omit<Answer, 'ended'>): void {
    this.answers.push({ ...answer, ended: ++this.#moment })
  }

  /** Everything that must hold when the clients are done, whatever the order was. `crashed` ones may have done anything. */
  async assertSound(crashed: readonly Answer['op'][] = []): Promise<void> {
    const ends = this.answers.filter(({ op, outcome }) => outcome === 'done' && (op === 'delete' || op === 'cycle'))
    assert.ok(ends.length <= 1, 'a session ends once')
    const [end] = ends
    const isEnded = end !== undefined
    for (const answer of this.answers) {
      const isAbsent = answer.outcome !== 'found' && answer.outcome !== 'done'
      if (isEnded && answer.begun > end.ended) assert.ok(isAbsent, `${answer.op} after the end: ${answer.outcome}`)
      const mayBeAbsent =
        (isEnded && answer.ended > end.begun) || crashed.some((op) => op !== 'change' && op !== 'load')
      if (isAbsent) assert.ok(mayBeAbsent, `${answer.op} did not find the session, which nobody has ended`)
      if (answer.op === 'load' && answer.n !== undefined) this.#assertFresh(answer, answer.n, crashed)
    }
    const raises = this.answers.filter(({ op, outcome }) => outcome === 'done' && (op === 'change' || op === 'cycle'))
    const made = raises.map(({ n }) => n)
    assert.equal(new Set(made).size, made.length, 'every change counted from what the one before had made')
    if (isEnded) this.#assertDead()
    else if (crashed.every((op) => op === 'change' || op === 'load'))
      await this.#assertAlive(raises.length, crashed.length)
    if (end?.op === 'cycle') this.#assertOneSuccessor(raises.length, crashed.length)
  }

  /** A load sees every change that was answered before it began. */
  #assertFresh({ begun }: Answer, seen: number, crashed: readonly unknown[]): void {
    const before = this.answers.filter(
      ({ op, outcome, ended }) => op === 'change' && outcome === 'done' && ended < begun,
    )
    assert.ok(seen >= Math.max(0, ...before.map(({ n = 0 }) => n)), 'a load saw what was before an answered change')
    assert.ok(seen <= this.answers.length + crashed.length)
  }

  /** Nothing of the session is under its key any more, also for those who look into one store alone. */
  #assertDead(): void {
    assert.ok(!this.old.rows.has(KEY), 'it is still in the old store')
    const left = this.new.rows.get(KEY)
    assert.deepEqual([...(left?.data.keys() ?? [])], left ? ['_gw'] : [], 'it is still in the new store')
  }

  async #assertAlive(changes: number, crashed: number): Promise<void> {
    const loaded = await this.connect(atOnce).load(KEY)
    assert.ok(loaded.found, 'the session was lost')
    const n = numberIn(loaded.data)
    assert.ok(n >= changes && n <= changes + crashed, `${n} instead of ${changes}`)
    assert.ok(!loaded.data.has('_gw'))
  }

  #assertOneSuccessor(changes: number, crashed: number): void {
    const rows = [...this.old.rows, ...this.new.rows].filter(([key, { data }]) => key !== KEY && data.has('n'))
    assert.equal(rows.length, 1)
    for (const [, { data }] of rows) {
      assert.ok(numberIn(data) >= changes && numberIn(data) <= changes + crashed)
      assert.ok(!data.has('_gw'))
    }
  }
}

/** What is done to other sessions happens at once: for the one it does not matter when. */
function ofTheSession(step: Step): Step {
  return (name, effect, key = KEY) => (key === KEY ? step : atOnce)(name, effect)
}

/** The first so many steps of a process that dies then; the last of them is done, and nobody learns of it. */
export function dyingAfter(steps: number, step: Step): Step {
  let left = steps
  return async (name, effect) => {
    if (left === 0) return await new Promise<never>(() => {})
    left -= 1
    const value = await step(name, effect)
    return left === 0 ? await new Promise<never>(() => {}) : value
  }
}

/** Somebody who falls asleep before some of his steps, each time until he is woken up. */
export interface Sleeper {
  readonly step: Step
  /** Resolves when he sleeps. */
  asleep(): Promise<void>
  wakeUp(): void
}

/** @param stops Counted from 1, in ascending order. */
export function sleepingBefore(...stops: readonly number[]): Sleeper {
  const nights = stops.map((stop) => ({
    stop,
    begun: Promise.withResolvers<void>(),
    over: Promise.withResolvers<void>(),
  }))
  let count = 0
  let woken = 0
  return {
    async step(_name, effect) {
      count += 1
      const night = nights.find(({ stop }) => stop === count)
      night?.begun.resolve()
      await night?.over.promise
      return effect()
    },
    asleep: async () => await nights[woken]?.begun.promise,
    wakeUp: () => nights[woken++]?.over.resolve(),
  }
}

/** The JSON of a session; undefined if it is not found. */
export async function loaded(engine: SessionEngine, key = KEY): Promise<string | undefined> {
  const result = await engine.load(key)
  return result.found ? writeSessionData(result.data) : undefined
}

function numberIn(data: SessionData): number {
  return Number(data.get('n'))
}

function raised(data: SessionData): SessionData {
  return new Map(data).set('n', `${numberIn(data) + 1}`)
}
