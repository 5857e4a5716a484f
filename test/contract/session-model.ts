import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseSessionData, writeSessionData } from '../../src/django/json.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import type { EngineTraits } from './session-engine-world.ts'

/** What one client does in one round; `at` picks one of the keys that were ever handed out, also dead ones. */
type Step =
  | { readonly kind: 'create' }
  | { readonly kind: 'load' | 'count' | 'cycle' | 'delete' | 'refuse'; readonly at: number }
  | { readonly kind: 'expireIn'; readonly at: number; readonly seconds: number }

interface Round {
  /** Passes before the round, in seconds. */
  readonly pause: number
  /** Done at the same time, each by another process. */
  readonly steps: readonly Step[]
  readonly clears: boolean
}

interface ModelSession {
  readonly json: string
  readonly expiresAt: number
}

type ModelState = ReadonlyMap<string, ModelSession>

/** What a step came to, as text: a session's JSON, a verdict, and the key that it made, if it made one. */
interface Outcome {
  readonly text: string
  readonly madeKey?: string
}

interface ModelWorld extends AsyncDisposable {
  readonly traits: EngineTraits
  readonly world: { now: number; advance(seconds: number): Promise<void> }
  readonly store: { connect(): Promise<SessionEngine> }
  readonly engine: SessionEngine
  readonly other: SessionEngine
}

const COOKIE_AGE_MS = 1_000_000
const EVERYTHING_IS_OVER_AFTER_SECONDS = 1_000_000

/** How many histories are tried; `npm run test:models` and the soak tests ask for more. */
const histories = Number(process.env.SESSIONGATE_HISTORIES ?? 300)

const index = fc.nat({ max: 5 })

/** Where a server counts by its own clock, no session may be so near its end that the test's own duration decides. */
function lives({ toleranceMs = 0 }: EngineTraits): fc.Arbitrary<number> {
  return toleranceMs === 0 ? fc.integer({ min: 1, max: 300 }) : fc.constantFrom(50, 150, 250, 350, 450)
}

function anyStep(traits: EngineTraits): fc.Arbitrary<Step> {
  return fc.oneof(
    fc.constant({ kind: 'create' } as const),
    fc.record({ kind: fc.constantFrom('load', 'count', 'count', 'cycle', 'delete', 'refuse'), at: index }),
    fc.record({ kind: fc.constant('expireIn'), at: index, seconds: lives(traits) }),
  )
}

function anyHistory(traits: EngineTraits): fc.Arbitrary<readonly Round[]> {
  return fc.array(
    fc.record({
      pause: fc.constantFrom(0, 0, 0, 1, 100, 400),
      steps: fc.array(anyStep(traits), { minLength: 1, maxLength: 3 }),
      clears: fc.boolean(),
    }),
    { maxLength: 10 },
  )
}

/**
 * Random histories of three processes on one store. The steps of a round run at once; what they come to must be what
 * *some* order of them comes to in a model that is a plain Map (linearizability), round after round.
 */
export async function checkAgainstModel(open: () => Promise<ModelWorld>): Promise<void> {
  await using opened = await open()
  const { traits } = opened
  const { tellsExpired } = traits
  await using third = await opened.store.connect()
  const engines = [opened.engine, opened.other, third] as const
  const check = fc.asyncProperty(anyHistory(traits), async (rounds) => {
    // One store for all histories, empty at the beginning of each.
    await opened.world.advance(EVERYTHING_IS_OVER_AFTER_SECONDS)
    await opened.engine.clearExpired(1000)
    const keys: string[] = []
    let states: readonly ModelState[] = [new Map()]
    for (const round of rounds) {
      await opened.world.advance(round.pause)
      const { now } = opened.world
      // The keys as they stood before the round: what one step makes, the others cannot know yet.
      const known = [...keys]
      const outcomes = await Promise.all(round.steps.map((it, i) => perform(engines[i] ?? third, it, known)))
      for (const { madeKey } of outcomes) if (madeKey !== undefined) keys.push(madeKey)
      states = withoutTwins(
        states.flatMap((state) => explain({ state, now, known, tellsExpired }, round.steps, outcomes)),
      )
      assert.notEqual(
        states.length,
        0,
        `no order of ${JSON.stringify(round.steps)} explains ${JSON.stringify(outcomes)}`,
      )
      if (round.clears) states = await clear(opened, states)
    }
    const listed = await list(opened, keys)
    const { now } = opened.world
    assert.ok(
      states.some((state) => describeState(state, now, traits) === listed),
      `the store ends with ${listed}`,
    )
  })
  await fc.assert(check, { numRuns: histories })
}

/** Different orders often lead to one state; kept apart, they would multiply with every round. */
function withoutTwins(states: readonly ModelState[]): readonly ModelState[] {
  return [...new Map(states.map((state) => [fingerprint(state), state])).values()]
}

async function perform(engine: SessionEngine, it: Step, known: readonly string[]): Promise<Outcome> {
  if (it.kind === 'create') {
    const madeKey = await engine.create(new Map([['n', '0']]))
    return { text: 'created', madeKey }
  }
  const key = known[it.at] ?? 'unknownkey'
  if (it.kind === 'load') {
    const loaded = await engine.load(key)
    return { text: loaded.found ? writeSessionData(loaded.data) : loaded.reason }
  }
  if (it.kind === 'delete') return { text: String(await engine.delete(key)) }
  try {
    const result = await engine.transition(key, (data) => {
      if (it.kind === 'refuse') throw new Error('refused')
      if (it.kind === 'cycle') return { kind: 'cycle', data }
      return { kind: 'update', data: changed(data, it) }
    })
    if (result.kind === 'gone') return { text: result.reason }
    assert.ok(result.kind === 'stored')
    assert.equal(result.key !== key, it.kind === 'cycle')
    return { text: writeSessionData(result.data), ...(it.kind === 'cycle' && { madeKey: result.key }) }
  } catch (error) {
    if (error instanceof Error && error.message === 'refused') return { text: 'refused' }
    throw error
  }
}

function changed(data: ReadonlyMap<string, string>, it: Step): ReadonlyMap<string, string> {
  if (it.kind === 'expireIn') return new Map(data).set('_session_expiry', `${it.seconds}`)
  return new Map(data).set('n', `${Number(data.get('n')) + 1}`)
}

interface Moment {
  readonly state: ModelState
  readonly now: number
  readonly known: readonly string[]
  readonly tellsExpired: boolean
}

/** Every state that some order of the steps leads to with exactly these outcomes. */
function explain(moment: Moment, steps: readonly Step[], outcomes: readonly Outcome[]): ModelState[] {
  if (steps.length === 0) return [moment.state]
  return steps.flatMap((it, i) => {
    const outcome = outcomes[i]
    const next = outcome && follow(moment, it, outcome)
    if (!next) return []
    return explain({ ...moment, state: next }, steps.toSpliced(i, 1), outcomes.toSpliced(i, 1))
  })
}

/** The state after one step, or undefined if the model would have come to something else. */
function follow({ state, now, known, tellsExpired }: Moment, it: Step, outcome: Outcome): ModelState | undefined {
  const { text, madeKey } = outcome
  if (it.kind === 'create') {
    return madeKey === undefined
      ? undefined
      : new Map(state).set(madeKey, { json: '{"n":0}', expiresAt: now + COOKIE_AGE_MS })
  }
  const key = known[it.at] ?? 'unknownkey'
  const session = state.get(key)
  if (session === undefined || session.expiresAt <= now) {
    const reason = session !== undefined && tellsExpired ? 'expired' : 'not_found'
    return text === (it.kind === 'delete' ? 'false' : reason) ? state : undefined
  }
  const next = new Map(state)
  if (it.kind === 'load') return text === session.json ? state : undefined
  if (it.kind === 'refuse') return text === 'refused' ? state : undefined
  if (it.kind === 'delete') return text === 'true' && next.delete(key) ? next : undefined
  const data = parseSessionData(session.json) ?? new Map<string, string>()
  const after = it.kind === 'cycle' ? data : changed(data, it)
  const json = writeSessionData(after)
  if (it.kind === 'cycle') next.delete(key)
  next.set(madeKey ?? key, {
    json,
    expiresAt: now + Number(after.get('_session_expiry') ?? COOKIE_AGE_MS / 1000) * 1000,
  })
  return text === json && (madeKey !== undefined) === (it.kind === 'cycle') ? next : undefined
}

async function clear(
  { engine, world, traits }: ModelWorld,
  states: readonly ModelState[],
): Promise<readonly ModelState[]> {
  const count = await engine.clearExpired(100)
  const cleared = states.flatMap((state) => {
    const alive = new Map([...state].filter(([, { expiresAt }]) => expiresAt > world.now))
    const expected = traits.sweeps === false ? 0 : state.size - alive.size
    return expected === count ? [alive] : []
  })
  assert.notEqual(cleared.length, 0, `${count} were cleared`)
  return cleared
}

/** What is alive: as the store lists it, or, where it cannot, of the keys that were handed out. */
async function list({ engine, traits }: ModelWorld, keys: readonly string[]): Promise<string> {
  const lines: string[] = []
  if (traits.lists === false) {
    for (const key of keys) {
      const loaded = await engine.load(key)
      if (loaded.found) lines.push(lineOf(key, { json: writeSessionData(loaded.data) }))
    }
  } else {
    for await (const { key, data, expiresAt } of engine.entries())
      lines.push(lineOf(key, { json: writeSessionData(data), ...(isExact(traits) && { expiresAt }) }))
  }
  return lines.toSorted().join('\n')
}

function isExact({ toleranceMs = 0, tellsEnd = true }: EngineTraits): boolean {
  return toleranceMs === 0 && tellsEnd
}

function lineOf(key: string, { json, expiresAt }: { json: string; expiresAt?: number | undefined }): string {
  return `${key} ${json} ${expiresAt ?? ''}`
}

function describeState(state: ModelState, now: number, traits: EngineTraits): string {
  const alive = [...state].filter(([, { expiresAt }]) => expiresAt > now)
  return alive
    .map(([key, { json, expiresAt }]) => lineOf(key, { json, ...(isExact(traits) && { expiresAt }) }))
    .toSorted()
    .join('\n')
}

/** Everything about a state, also what is over: two states of which this is the same are one. */
function fingerprint(state: ModelState): string {
  return [...state]
    .map(([key, { json, expiresAt }]) => lineOf(key, { json, expiresAt }))
    .toSorted()
    .join('\n')
}
