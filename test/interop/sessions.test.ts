import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { parseSqliteDate } from '../../src/django/dates.ts'
import { type SessionData, writeSessionData } from '../../src/django/json.ts'
import type { SessionParts } from '../../src/session-parts.ts'
import { MAX_COOKIE_BYTES } from '../../src/sessions/engines/signed-cookies.ts'
import { noChanges } from '../../src/sessions/merge.ts'
import { requireServer } from '../support/requirement.ts'
import {
  type DjangoEngine,
  type DjangoFacts,
  type DjangoProject,
  type DjangoRead,
  type SourceChange,
  startDjango,
} from './django-project.ts'
import { randomMembers, randomSources, SEED } from './random-sessions.ts'
import { Differences, openGatewaySide, sessionOf } from './shared-store.ts'

/** Random sessions each way and engine. About one in eight has expired, so that more than a thousand are loaded. */
const COUNT = 1200

const django = requireServer('django')

/** Both sides of one store, and both clocks standing at one moment. */
interface Stage extends AsyncDisposable {
  readonly project: DjangoProject
  readonly gateway: SessionParts
  readonly now: number
  /** {@link COUNT} random texts that fit the engine. */
  readonly sources: readonly string[]
  /** What Django makes of each. */
  readonly facts: readonly DjangoFacts[]
}

for (const engine of ['db', 'file', 'signed_cookies'] as const) {
  describe(`one store of the engine ${engine} for Django and the gateway`, { skip: django.skip }, () => {
    let stage: Stage
    before(async () => {
      stage = await openStage(engine)
    })
    after(async () => {
      await stage?.[Symbol.asyncDispose]()
    })

    test('Django reads every session that the gateway wrote', { timeout: 300_000 }, async (t) => {
      await gatewayWrites(stage, engine, t)
    })

    test('the gateway reads every session that Django wrote', { timeout: 300_000 }, async (t) => {
      const keys = await djangoWrites(stage, engine, t)
      await gatewayChanges(stage, engine, keys, t)
      if (engine === 'db') assert.equal(await stage.project.pragma('journal_mode'), 'delete', 'as Django made it')
    })
  })
}

async function openStage(engine: DjangoEngine): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const project = stack.use(await startDjango(django.path, { engine }))
  await project.migrate()
  const now = Date.now()
  const gateway = await openGatewaySide(project, { engine }, () => now)
  stack.use(gateway.engine)
  const { sources, facts } = await fittingSources(project, engine, now)
  const closing = stack.move()
  return { project, gateway, now, sources, facts, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}

/** A signed cookie that is longer than browsers keep is refused by the gateway; Django sends it, and the browser drops it. */
async function fittingSources(
  project: DjangoProject,
  engine: DjangoEngine,
  now: number,
): Promise<Pick<Stage, 'sources' | 'facts'>> {
  const all = randomSources(engine === 'signed_cookies' ? COUNT * 1.2 : COUNT)
  const allFacts = await project.facts(all, now)
  const room = engine === 'signed_cookies' ? MAX_COOKIE_BYTES - 400 : Infinity
  const chosen = all
    .map((source, i) => ({ source, facts: at(allFacts, i) }))
    .filter(({ source, facts }) => facts.text.length < room && source.length < room)
    .slice(0, COUNT)
  assert.equal(chosen.length, COUNT)
  return { sources: chosen.map(({ source }) => source), facts: chosen.map(({ facts }) => facts) }
}

/** Every other session in Python's own spelling, the others as loosely as they come. */
async function gatewayWrites(stage: Stage, engine: DjangoEngine, t: TestContext): Promise<void> {
  const { project, gateway, now, sources, facts } = stage
  const sessions = sources.map((source, i) => sessionOf(i % 2 === 0 ? at(facts, i).json : source))
  const keys: string[] = []
  for (const data of sessions) keys.push(await gateway.engine.create(data))
  if (engine === 'file') await compareFiles(stage, keys)
  const alive: boolean[] = []
  for (const key of keys) alive.push((await gateway.engine.load(key)).found)

  const differences = new Differences()
  const reads = await project.read(keys, now)
  let same = 0
  for (const [i, read] of reads.entries()) {
    const data = at(sessions, i)
    const expected = at(facts, i)
    const what = `session ${i}`
    compareRead(differences, { what, read, expected, data })
    differences.compare(`${what}: expired for both or neither`, read.found, alive[i])
    // Of an age with a fraction, which only an app that asks for it has, `expires` may be a second off; Max-Age counts.
    const isWhole = Number.isInteger(Number(expected.age))
    if (isWhole) differences.compare(`${what}: the cookie`, cookieOf(stage, data), expected.cookie)
    if (i % 2 === 0) differences.compare(`${what}: as Django writes it`, read.stored?.source, expected.json)
    // Node's zlib and Python's may choose other bytes for the same text.
    const isPlain = i % 2 === 0 && !expected.text.startsWith('.') && !read.stored?.text.startsWith('.')
    if (isPlain) differences.compare(`${what}: the stored text`, read.stored?.text, expected.text)
    if (read.stored?.text === expected.text) same++
  }
  differences.assertNone()
  t.diagnostic(
    `seed ${SEED}: ${reads.length} written by the gateway, ${reads.filter(({ found }) => found).length} alive, ` +
      `${same} with the very bytes that Django writes, ${differences.compared} comparisons, 0 differences`,
  )
}

function compareRead(
  differences: Differences,
  seen: { what: string; read: DjangoRead; expected: DjangoFacts; data: SessionData },
): void {
  const { what, read, expected, data } = seen
  differences.compare(`${what}: the stored JSON`, read.stored?.source, writeSessionData(data))
  if (read.found) differences.compare(`${what}: the data`, read.json, expected.json)
  const date = read.stored?.expireDate
  if (typeof date === 'string') differences.compare(`${what}: expire_date`, date, inMilliseconds(expected.expireDate))
}

/** Names, modes and times: what Django's own side goes by. */
async function compareFiles({ project, now }: Stage, keys: readonly string[]): Promise<void> {
  const expected = keys.map((key) => [`sessionid${key}`, 0o600, now])
  assert.deepEqual(await project.listing(), expected.toSorted())
}

async function djangoWrites(stage: Stage, engine: DjangoEngine, t: TestContext): Promise<string[]> {
  const { project, gateway, now, sources, facts } = stage
  const differences = new Differences()
  const written = await project.write(sources, now)
  const alive: string[] = []
  for (const [i, { key, json, stored }] of written.entries()) {
    const what = `session ${i}`
    const loaded = await gateway.engine.load(key)
    const isExpired = engine !== 'signed_cookies' && at(facts, i).age <= 0
    differences.compare(`${what}: alive`, loaded.found ? 'alive' : loaded.reason, isExpired ? 'expired' : 'alive')
    if (!loaded.found) continue
    alive.push(key)
    differences.compare(`${what}: the source text`, writeSessionData(loaded.data), json)
    if (engine === 'signed_cookies') continue
    const expiresAt = parseSqliteDate(stored.expireDate ?? at(facts, i).expireDate, true)
    differences.compare(`${what}: the end`, loaded.expiresAt, expiresAt)
  }
  differences.assertNone()
  t.diagnostic(
    `seed ${SEED}: ${written.length} written by Django, ${alive.length} alive, ` +
      `${differences.compared} comparisons, 0 differences`,
  )
  return alive
}

/** One key of each session is set anew, added or deleted: every other key keeps its text. */
async function gatewayChanges(
  stage: Stage,
  engine: DjangoEngine,
  keys: readonly string[],
  t: TestContext,
): Promise<void> {
  const { project, gateway, now } = stage
  const before = (await project.read(keys, now)).map(({ json }) => json)
  const members = randomMembers(keys.length)
  const texts = (await project.facts(members.map(([, text]) => `{"value":${text}}`))).map(
    ({ json }) => sessionOf(json).get('value') ?? '',
  )
  const changes = before.map((source, i) => changeOf(i, { source, name: at(members, i)[0], text: at(texts, i) }))
  const changedKeys: string[] = []
  for (const [i, change] of changes.entries()) {
    const session = gateway.store.open(at(keys, i))
    await session.apply({ ...noChanges, set: new Map(change.set), delete: change.delete ?? [] })
    await session.save()
    changedKeys.push(session.key ?? '')
  }
  const expected = await project.facts(await project.changed(changes), now)
  const differences = new Differences()
  for (const [i, read] of (await project.read(changedKeys, now)).entries()) {
    const what = `change ${i}`
    differences.compare(`${what}: found`, read.found, true)
    differences.compare(`${what}: the data`, read.json, at(expected, i).json)
    compareRead(differences, { what, read, expected: at(expected, i), data: sessionOf(at(expected, i).json) })
  }
  differences.assertNone()
  const cycled = changedKeys.filter((key, i) => key !== keys[i])
  if (engine !== 'signed_cookies') {
    const old = await project.read(keys.filter((key, i) => key !== changedKeys[i]))
    assert.ok(
      old.every(({ stored }) => stored === null),
      'no row is left under a key that was cycled',
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

function cookieOf({ gateway, now }: Stage, data: SessionData): string {
  return gateway.cookie.issue('KEY', data, { now, isSecure: false })
}

/** The gateway's clock counts milliseconds, Django's dates microseconds: what lies between is cut off. */
function inMilliseconds(date: string): string {
  const [, whole = '', milliseconds = '000'] = /^(.{19})(?:\.(\d{3})\d{3})?$/.exec(date) ?? []
  return milliseconds === '000' ? whole : `${whole}.${milliseconds}000`
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index]
  assert.ok(item !== undefined)
  return item
}
