import assert from 'node:assert/strict'
import { GatewayError } from '../../src/errors.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import { increment, sessionOf } from '../contract/session-engine-world.ts'
import { turns } from '../support/deadline.ts'
import { startPostgres } from '../support/postgres.ts'
import { openSessions } from './postgres-sessions.ts'

export interface CrashCounts {
  /** Writes of all rounds that were acknowledged, and those of which nobody was told what became. */
  acknowledged: number
  unknown: number
}

const WRITERS = 20
/** Writes that are acknowledged in each round before the server is stopped in the middle of the next ones. */
const WRITES_A_ROUND = 60

/** What one writer knows of its session: what was acknowledged, and what may have happened since. */
interface Witness {
  /** The key that was acknowledged last; undefined when the log-out was. */
  key: string | undefined
  /** The number that was acknowledged last. */
  n: number
  /** What was under way when the server went: its outcome is unknown. */
  doubt: 'create' | 'increment' | 'cycle' | 'delete' | undefined
  /** Keys that are dead for sure. */
  readonly dead: string[]
}

/**
 * Stops PostgreSQL like a crash (`-m immediate`) under writes, that many times, and asserts after each start that
 * everything acknowledged is there, and nothing that was deleted. The server writes through to the disk, as by default.
 */
export async function survivesCrashes(rounds: number): Promise<CrashCounts> {
  await using server = await startPostgres({ fsync: true })
  const database = await server.createDatabase()
  await using engine = openSessions(database.url, { poolSize: 10 })
  const counts: CrashCounts = { acknowledged: 0, unknown: 0 }
  await engine.ping()
  for (let round = 0; round < rounds; round++) {
    const control = { isStopped: false }
    const goal = counts.acknowledged + WRITES_A_ROUND
    const witnesses = Array.from(
      { length: WRITERS },
      (): Witness => ({ key: undefined, n: 0, doubt: undefined, dead: [] }),
    )
    const writing = witnesses.map((witness, i) => write({ engine, witness, seed: round + i, counts, control }))
    while (counts.acknowledged < goal) await turns(1)
    await server.stop('immediate')
    control.isStopped = true
    await Promise.all(writing)
    await server.start()
    for (const witness of witnesses) await verify(engine, witness)
  }
  return counts
}

interface Writing {
  readonly engine: SessionEngine
  readonly witness: Witness
  readonly seed: number
  readonly counts: CrashCounts
  readonly control: { readonly isStopped: boolean }
}

/** Writes until the first failure: after that the writer does not know what its session is. */
async function write({ engine, witness, seed, counts, control }: Writing): Promise<void> {
  for (let step = seed; !control.isStopped; step++) {
    const doubt =
      witness.key === undefined ? 'create' : (['increment', 'cycle', 'increment', 'delete'] as const)[step % 4]
    witness.doubt = doubt
    try {
      await take(engine, witness)
    } catch (error) {
      assert.ok(error instanceof GatewayError && error.code === 'ERR_STORE_UNAVAILABLE', String(error))
      if (error.facts.outcome === 'failed') witness.doubt = undefined
      else counts.unknown++
      return
    }
    witness.doubt = undefined
    counts.acknowledged++
  }
}

async function take(engine: SessionEngine, witness: Witness): Promise<void> {
  const { key } = witness
  if (key === undefined) {
    witness.key = await engine.create(sessionOf('{"n":0}'))
    witness.n = 0
    return
  }
  if (witness.doubt === 'delete') {
    assert.equal(await engine.delete(key), true)
    witness.dead.push(key)
    witness.key = undefined
    return
  }
  const isCycle = witness.doubt === 'cycle'
  const result = await engine.transition(key, (now) => (isCycle ? { kind: 'cycle', data: now } : increment(now)))
  assert.ok(result.kind === 'stored')
  if (isCycle) witness.dead.push(key)
  else witness.n++
  witness.key = result.key
}

async function verify(engine: SessionEngine, { key, n, doubt, dead }: Witness): Promise<void> {
  for (const gone of dead) assert.equal((await engine.load(gone)).found, false, 'a session came back')
  if (key === undefined) return
  const loaded = await engine.load(key)
  if (!loaded.found) {
    assert.ok(doubt === 'delete' || doubt === 'cycle', `a session with ${n} acknowledged is gone`)
    return
  }
  const stored = Number(loaded.data.get('n'))
  assert.ok(stored === n || (doubt === 'increment' && stored === n + 1), `${n} was acknowledged, ${stored} is stored`)
}
