import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { parseSqliteDate } from '../../src/django/dates.ts'
import { type SessionData, writeSessionData } from '../../src/django/json.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { SessionParts } from '../../src/session-parts.ts'
import { MAX_COOKIE_BYTES } from '../../src/sessions/engines/signed-cookies.ts'
import { noChanges } from '../../src/sessions/merge.ts'
import {
  type DjangoCached,
  type DjangoFacts,
  type DjangoProject,
  type DjangoRead,
  type DjangoSettings,
  type DjangoWritten,
  type SourceChange,
  startDjango,
} from './django-project.ts'
import { randomMembers, randomSources, SEED } from './random-sessions.ts'
import { Differences, openGatewaySide, sessionOf } from './shared-store.ts'
import type { SharedPlace, StoreServers } from './stores.ts'

/** Random sessions each way and place. About one in eight has expired. */
const COUNT = Number(process.env.SESSIONGATE_SHARED_SESSIONS ?? 2000)

/** Calls of the gateway's engine under way at once. */
const LANES = 8

/** How far a time to live may be off, in milliseconds: caches count in seconds, and it is read a moment later. */
const LIFE_TOLERANCE_MS = 2000

/** memcached's clock ticks once a second, and late on a busy machine. */
const MEMCACHED_TOLERANCE_MS = 5000

/** Shorter lives may end while the test runs, where a server's own clock decides. In seconds. */
const BRIEF_SECONDS = 600

/** From when to when something happened, in milliseconds. */
type Span = readonly [fromMs: number, toMs: number]

/** Both sides of one place, and both clocks standing at one moment, unless the place is a cache, whose clock goes on. */
interface Stage extends AsyncDisposable {
  readonly settings: DjangoSettings
  readonly project: DjangoProject
  readonly gateway: SessionParts
  readonly clock: Clock
  /** Where Django's clock is to stand; undefined where it goes. */
  readonly at: number | undefined
  /** The moment of {@link facts}. */
  readonly now: number
  /** {@link COUNT} random texts that fit the place. */
  readonly sources: readonly string[]
  /** What Django makes of each. */
  readonly facts: readonly DjangoFacts[]
}

/**
 * Random sessions go each way through one place: written by the gateway and read by Django, written by Django and read
 * by the gateway, then changed by the gateway and read by Django. Data, source text, ends, cookies, and what the caches
 * hold are compared.
 */
export function describeSharedSessions(place: SharedPlace, servers: StoreServers): void {
  describe(place.title, { skip: place.skip }, () => {
    let stage: Stage
    before(async () => {
      stage = await openStage(place, servers)
    })
    after(async () => {
      await stage?.[Symbol.asyncDispose]()
    })

    test('Django reads every session that the gateway wrote', async (t) => {
      await gatewayWrites(stage, t)
    })

    test('the gateway reads every session that Django wrote', async (t) => {
      const alive = await djangoWrites(stage, t)
      await gatewayChanges(stage, alive, t)
      const { engine, postgres } = stage.settings
      if (engine === 'db' && postgres === undefined) {
        assert.equal(await stage.project.pragma('journal_mode'), 'delete', 'as Django made it')
      }
    })
  })
}

async function openStage(place: SharedPlace, servers: StoreServers): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const settings = await place.open(servers)
  const project = stack.use(await startDjango(place.python, settings))
  if (settings.engine === 'db' || settings.engine === 'cached_db') await project.migrate()
  const now = Date.now()
  const at = settings.cache === undefined ? now : undefined
  const clock = at === undefined ? Date.now : () => now
  const gateway = await openGatewaySide(project, settings, clock)
  stack.use(gateway.engine)
  const fitting = await fittingSources({ place, settings, project, now })
  const closing = stack.move()
  const close = () => closing.disposeAsync()
  return { settings, project, gateway, clock, at, now, ...fitting, [Symbol.asyncDispose]: close }
}

/** A signed cookie that is longer than browsers keep is refused by the gateway; Django sends it, and the browser drops it. */
async function fittingSources(it: {
  place: SharedPlace
  settings: DjangoSettings
  project: DjangoProject
  now: number
}): Promise<Pick<Stage, 'sources' | 'facts'>> {
  const { engine, cache } = it.settings
  const isCookie = engine === 'signed_cookies'
  const all = randomSources(isCookie ? COUNT * 1.2 : COUNT, 0, {
    hasDates: it.place.release !== 'django32',
    isNear: cache?.client === 'PyMemcacheCache',
  })
  const allFacts = await it.project.facts(all, it.now)
  const room = isCookie ? MAX_COOKIE_BYTES - 400 : Infinity
  const chosen = all
    .map((source, i) => ({ source, facts: at(allFacts, i) }))
    .filter(({ source, facts }) => facts.text.length < room && source.length < room)
    .slice(0, COUNT)
  assert.equal(chosen.length, COUNT)
  return { sources: chosen.map(({ source }) => source), facts: chosen.map(({ facts }) => facts) }
}

/** Every other session in Python's own spelling, the others as loosely as they come. */
async function gatewayWrites(stage: Stage, t: TestContext): Promise<void> {
  const { project, gateway, sources, facts, settings } = stage
  const sessions = sources.map((source, i) => sessionOf(i % 2 === 0 ? at(facts, i).json : source))
  const written = await inLanes(sessions, (data) => timed(stage.clock, () => gateway.engine.create(data)))
  const keys = written.map(({ value }) => value)
  if (settings.engine === 'file') await compareFiles(stage, keys)
  // With cached_db this puts it into the cache, too.
  const alive = await inLanes(keys, async (key) => (await gateway.engine.load(key)).found)

  const differences = new Differences()
  const reads = await project.read(keys, stage.at)
  for (const [i, read] of reads.entries()) {
    const what = `session ${i}`
    const expected = at(facts, i)
    if (!isBrief(stage, expected)) {
      differences.compare(`${what}: expired for both or neither`, read.found, alive[i])
      const isOver = settings.engine !== 'signed_cookies' && Number(expected.age) <= 0
      differences.compare(`${what}: alive`, read.found, !isOver)
    }
    compareRead(differences, { stage, what, read, expected, data: at(sessions, i), span: at(written, i).span })
    // A spelling that a pickle has no form for is never cached.
    if (alive[i] === true && settings.engine === 'cached_db' && i % 2 === 0 && !isBrief(stage, expected)) {
      differences.compare(`${what}: cached`, read.cached !== null, true)
    }
    // Of an age with a fraction, which only an app that asks for it has, `expires` may be a second off; Max-Age counts.
    const isWhole = Number.isInteger(Number(expected.age))
    if (isWhole) differences.compare(`${what}: the cookie`, cookieOf(stage, at(sessions, i)), expected.cookie)
    if (i % 2 === 0) compareSpelling(differences, { stage, what, read, expected })
  }
  differences.assertNone()
  t.diagnostic(
    `seed ${SEED}: ${reads.length} written by the gateway, ${reads.filter(({ found }) => found).length} alive, ` +
      `${differences.compared} comparisons, 0 differences`,
  )
}

interface Seen {
  readonly stage: Stage
  readonly what: string
  readonly read: DjangoRead
  readonly expected: DjangoFacts
}

function compareRead(differences: Differences, seen: Seen & { data: SessionData; span: Span }): void {
  const { stage, what, read, expected, data, span } = seen
  const { stored, cached } = read
  if (stored !== null && stage.settings.engine !== 'cache') {
    differences.compare(`${what}: the stored JSON`, stored.source, writeSessionData(data))
  }
  if (read.found) differences.compare(`${what}: the data`, read.json, expected.json)
  const end = endOf(stage, { expected, data, span })
  if (typeof stored?.expireDate === 'string') {
    const date = stored.expireDate
    // Where both clocks stand still, the text itself.
    if (stage.at !== undefined) differences.compare(`${what}: expire_date`, date, inMilliseconds(expected.expireDate))
    differences.compare(`${what}: expire_date is due`, lateness(parseSqliteDate(date, true), end, 1000), 'in time')
  }
  if (read.found && stage.settings.engine === 'cache') differences.compare(`${what}: cached`, cached !== null, true)
  if (cached !== null && !isBrief(stage, expected)) compareCached(differences, { stage, what, cached, expected, end })
}

function compareCached(differences: Differences, seen: Omit<Seen, 'read'> & { cached: DjangoCached; end: Span }): void {
  const { stage, what, cached, expected, end } = seen
  const isMemcached = stage.settings.cache?.client === 'PyMemcacheCache'
  const toleranceMs = isMemcached ? MEMCACHED_TOLERANCE_MS : LIFE_TOLERANCE_MS
  differences.compare(`${what}: the data in the cache`, cached.json, expected.json)
  differences.compare(`${what}: its time to live`, lateness(cached.endsAt, end, toleranceMs), 'in time')
}

/** The bytes that Django would have written, where it is known which. */
function compareSpelling(differences: Differences, { stage, what, read, expected }: Seen): void {
  const { stored } = read
  if (stored === null || stage.settings.engine === 'cache') return
  differences.compare(`${what}: as Django writes it`, stored.source, expected.json)
  // Node's zlib and Python's may choose other bytes for the same text, and a clock that goes signs another time.
  const isPlain = !expected.text.startsWith('.') && !stored.text.startsWith('.')
  if (isPlain && stage.at !== undefined) differences.compare(`${what}: the stored text`, stored.text, expected.text)
}

/** Names, modes and times: what Django's own side goes by. */
async function compareFiles({ project, now }: Stage, keys: readonly string[]): Promise<void> {
  const expected = keys.map((key) => [`sessionid${key}`, 0o600, now])
  assert.deepEqual(await project.listing(), expected.toSorted())
}

async function djangoWrites(stage: Stage, t: TestContext): Promise<DjangoWritten[]> {
  const { project, gateway, sources, facts, settings } = stage
  const differences = new Differences()
  const written = await project.write(sources, stage.at)
  const loads = await inLanes(written, ({ key }) => gateway.engine.load(key))
  const alive: DjangoWritten[] = []
  for (const [i, session] of written.entries()) {
    const { json, stored, span, cached } = session
    const what = `session ${i}`
    const loaded = at(loads, i)
    const expected = at(facts, i)
    if (isBrief(stage, expected)) continue
    const isOver = settings.engine !== 'signed_cookies' && Number(expected.age) <= 0
    differences.compare(`${what}: alive`, loaded.found, !isOver)
    if (!loaded.found) continue
    alive.push(session)
    differences.compare(`${what}: the source text`, writeSessionData(loaded.data), json)
    if (settings.engine === 'signed_cookies') continue
    const end = endOf(stage, { expected, data: sessionOf(at(facts, i).json), span })
    if (stage.at !== undefined) {
      const expiresAt = parseSqliteDate(stored?.expireDate ?? expected.expireDate, true)
      differences.compare(`${what}: the end`, loaded.expiresAt, expiresAt)
    } else if (loaded.expiresAt !== undefined) {
      differences.compare(`${what}: the end`, lateness(loaded.expiresAt, end, LIFE_TOLERANCE_MS), 'in time')
    }
    if (settings.cache !== undefined) differences.compare(`${what}: cached`, cached !== null, true)
    if (cached !== null) compareCached(differences, { stage, what, cached, expected, end })
  }
  differences.assertNone()
  t.diagnostic(
    `seed ${SEED}: ${written.length} written by Django, ${alive.length} alive, ` +
      `${differences.compared} comparisons, 0 differences`,
  )
  return alive
}

/** One key of each session is set anew, added or deleted: every other key keeps its text. */
async function gatewayChanges(stage: Stage, written: readonly DjangoWritten[], t: TestContext): Promise<void> {
  const { project, gateway, clock } = stage
  const keys = written.map(({ key }) => key)
  const members = randomMembers(keys.length)
  const texts = (await project.facts(members.map(([, text]) => `{"value":${text}}`))).map(
    ({ json }) => sessionOf(json).get('value') ?? '',
  )
  const changes = written.map(({ json: source }, i) =>
    changeOf(i, { source, name: at(members, i)[0], text: at(texts, i) }),
  )
  const changed = await inLanes(changes, (change, i) =>
    timed(clock, async () => {
      const session = gateway.store.open(at(keys, i))
      await session.apply({ ...noChanges, set: new Map(change.set), delete: change.delete ?? [] })
      await session.save()
      return session.key ?? ''
    }),
  )
  const changedKeys = changed.map(({ value }) => value)
  const expected = await project.facts(await project.changed(changes), stage.now)
  const differences = new Differences()
  for (const [i, read] of (await project.read(changedKeys, stage.at)).entries()) {
    const what = `change ${i}`
    const data = sessionOf(at(expected, i).json)
    differences.compare(`${what}: found`, read.found, true)
    compareRead(differences, { stage, what, read, expected: at(expected, i), data, span: at(changed, i).span })
  }
  differences.assertNone()
  const cycled = changedKeys.filter((key, i) => key !== keys[i])
  if (gateway.engine.isServerSide) {
    const old = await project.read(keys.filter((key, i) => key !== changedKeys[i]))
    assert.ok(
      old.every(({ stored, cached }) => stored === null && cached === null),
      'nothing is left under a key that was cycled',
    )
  }
  t.diagnostic(`${keys.length} changed by the gateway, ${cycled.length} with a new key, 0 differences`)
}

function changeOf(i: number, random: { source: string; name: string; text: string }): SourceChange {
  const { source, name, text } = random
  // Another expiry would end some of them; what stands in `_gw` is the gateway's own.
  const names = [...sessionOf(source).keys()].filter((key) => key !== '_session_expiry' && key !== '_gw')
  const known = names[i % Math.max(1, names.length)]
  if (i % 3 === 0 && known !== undefined) return { source, set: [[known, text]] }
  if (i % 3 === 1 && known !== undefined) return { source, delete: [known] }
  return { source, set: [[name, text]] }
}

/** When a session ends that was saved in that span: at a date of its own, or so many seconds after. */
function endOf({ now }: Stage, saved: { expected: DjangoFacts; data: SessionData; span: Span }): Span {
  const { expected, data, span } = saved
  const end = parseSqliteDate(expected.expireDate, true) ?? assert.fail(`no date: ${expected.expireDate}`)
  if (data.get('_session_expiry')?.startsWith('"')) return [end, end]
  return [span[0] + end - now, span[1] + end - now]
}

function lateness(actualMs: number | undefined, [fromMs, toMs]: Span, toleranceMs: number): string {
  if (actualMs === undefined) return 'never'
  if (actualMs < fromMs - toleranceMs) return `${fromMs - actualMs} ms early`
  return actualMs > toMs + toleranceMs ? `${actualMs - toMs} ms late` : 'in time'
}

function isBrief({ at: moment }: Stage, { age }: DjangoFacts): boolean {
  return moment === undefined && Number(age) > 0 && Number(age) < BRIEF_SECONDS
}

function cookieOf({ gateway, now }: Stage, data: SessionData): string {
  return gateway.cookie.issue('KEY', data, { now, isSecure: false })
}

/** The gateway's clock counts milliseconds, Django's dates microseconds: what lies between is cut off. */
function inMilliseconds(date: string): string {
  const [, whole = '', milliseconds = '000'] = /^(.{19})(?:\.(\d{3})\d{3})?$/.exec(date) ?? []
  return milliseconds === '000' ? whole : `${whole}.${milliseconds}000`
}

async function timed<T>(clock: Clock, act: () => Promise<T>): Promise<{ value: T; span: Span }> {
  const from = clock()
  const value = await act()
  return { value, span: [from, clock()] }
}

async function inLanes<T, R>(items: readonly T[], act: (item: T, i: number) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const queue = items.entries()
  const lane = async (): Promise<void> => {
    // An iterator that all lanes share: each takes the next that nobody has.
    for (const [i, item] of queue) results[i] = await act(item, i)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return results
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index]
  assert.ok(item !== undefined)
  return item
}
