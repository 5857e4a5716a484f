import assert from 'node:assert/strict'
import type { ChangeNotices, NoticesState } from '../../src/sessions/change-notices.ts'
import { openPostgresNotices, type PostgresNoticesOptions } from '../../src/sessions/databases/postgres-notices.ts'
import { DJANGO_SESSION_SQL } from '../../src/sessions/databases/postgres-schema.ts'
import { type Scheduler, systemScheduler } from '../../src/sessions/scheduler.ts'
import { until } from '../support/deadline.ts'
import type { PostgresConnection, PostgresDatabase, PostgresServer } from '../support/postgres.ts'

/** What `Watched.told` has where everything may have changed. */
export const EVERYTHING = '*'

/** Longer than by default: a machine that is busy with tests must not seem to be a network that lost its way. */
const LEASE_MS = 2000

/** Pauses that are no shorter are for a person to do something: they end when the test says so. */
const PERSONAL_MS = 10_000

export interface Watched extends AsyncDisposable {
  readonly notices: ChangeNotices
  /** What the listener was told, in its order: names of sessions, or {@link EVERYTHING}. */
  readonly told: string[]
  readonly states: readonly NoticesState[]
  /** When the next thing is told, by `performance.now()`. */
  next(): Promise<number>
  up(): Promise<void>
  /** The same after a person did something: no pause is waited for. */
  mended(): Promise<void>
  /** Resolves with the reason when the line is down for one that matches. */
  down(reason: RegExp): Promise<string>
  /** Resolves when that was told `times` times. */
  heard(name: string, times?: number): Promise<void>
}

/** The line under test, and everything it tells. */
export function watch(url: string, settings: Partial<PostgresNoticesOptions> = {}): Watched {
  const patience = createPatience()
  const notices = openPostgresNotices({
    url,
    create: true,
    leaseMs: LEASE_MS,
    scheduler: patience.scheduler,
    ...settings,
  })
  const told: string[] = []
  const states: NoticesState[] = []
  let next = Promise.withResolvers<number>()
  const tell = (what: string) => {
    told.push(what)
    next.resolve(performance.now())
    next = Promise.withResolvers()
  }
  notices.onState((state) => states.push(state))
  notices.listen({
    changed: tell,
    everythingChanged: () => tell(EVERYTHING),
  })
  const reasonOf = (state: NoticesState | undefined) => (state === undefined || state.isUp ? '' : state.reason)
  return {
    notices,
    told,
    states,
    next: () => next.promise,
    up: () => until('the line is up', () => notices.isCurrent()),
    mended: () =>
      until('the line is mended', () => {
        patience.end()
        return notices.isCurrent()
      }),
    async down(reason) {
      await until(`the line is down: ${reason}`, () => reason.test(reasonOf(states.at(-1))))
      assert.equal(notices.isCurrent(), false)
      return reasonOf(states.at(-1))
    },
    heard: (name, times = 1) =>
      until(`${name} is told`, () => told.reduce((sum, it) => (it === name ? sum + 1 : sum), 0) >= times),
    [Symbol.asyncDispose]: () => notices[Symbol.asyncDispose](),
  }
}

/** Real time, but for pauses that wait for a person. */
function createPatience(): { readonly scheduler: Scheduler; readonly end: () => void } {
  const waiting = new Set<() => void>()
  return {
    scheduler: {
      nowMs: systemScheduler.nowMs,
      after(delayMs, task) {
        if (delayMs < PERSONAL_MS) return systemScheduler.after(delayMs, task)
        waiting.add(task)
        return () => waiting.delete(task)
      },
    },
    end() {
      for (const task of waiting) task()
      waiting.clear()
    },
  }
}

/** A database with Django's table and the sessions `a`, `b` and `c`. */
export async function createSessionDatabase(server: PostgresServer): Promise<PostgresDatabase> {
  const database = await server.createDatabase()
  await database.sql(DJANGO_SESSION_SQL.join('; '))
  await database.sql(insertSql('a', 'b', 'c'))
  return database
}

export function insertSql(...keys: readonly string[]): string {
  const rows = keys.map((key) => `('${key}', '0', now() + interval '1 day')`)
  return `INSERT INTO django_session VALUES ${rows.join(', ')}`
}

/** Changes `fence`, and resolves when that is told: so has been everything that was changed before. */
export async function settle(watched: Watched, database: Pick<PostgresConnection, 'sql'>): Promise<void> {
  const fence = watched.notices.nameOf('fence')
  const times = watched.told.filter((name) => name === fence).length + 1
  await database.sql(`${insertSql('fence')} ON CONFLICT (session_key) DO NOTHING`)
  await database.sql("UPDATE django_session SET session_data = '' WHERE session_key = 'fence'")
  await watched.heard(fence, times)
}

/**
 * What was told from now to the end of `change`, as keys where they are among these. {@link EVERYTHING} counts once: who
 * truncates a table is told of by the trigger, and once more when the line sees the new file.
 */
export async function toldBy(
  watched: Watched,
  database: PostgresDatabase,
  change: () => Promise<unknown>,
): Promise<readonly string[]> {
  const keys = ['a', 'b', 'c', 'd']
  await settle(watched, database)
  const from = watched.told.length
  await change()
  await settle(watched, database)
  const names = new Map(keys.map((key) => [watched.notices.nameOf(key), key]))
  const told = watched.told.slice(from, -1)
  const once = told.filter((name, index) => name !== EVERYTHING || told.indexOf(EVERYTHING) === index)
  return once.map((name) => names.get(name) ?? name)
}
