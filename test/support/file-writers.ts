import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSessionKey } from '../../src/django/session-key.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import { openCrashEngine } from './file-crash-program.ts'

interface WriterTask {
  readonly directory: string
  /** The member in which this process counts. */
  readonly name: string
  readonly kept: readonly string[]
  /** Sessions that are deleted while all write. */
  readonly doomed: readonly string[]
  readonly changes: number
}

interface WriterReport {
  /** How far it counted, session by session. */
  readonly counts: readonly number[]
  /** A change of a deleted session was stored. */
  readonly resurrected: number
}

export interface WritersResult {
  readonly changes: number
  readonly durationMs: number
}

/**
 * Many processes that change a few sessions all the time, while others of these sessions are deleted under their hands:
 * no change is lost, each process finds what it stored, and what was deleted stays so.
 */
export async function checkWriters({ writers, changes }: { writers: number; changes: number }): Promise<WritersResult> {
  const directory = await mkdtemp(join(tmpdir(), 'sessiongate-writers-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(directory, { recursive: true }))
  const engine = stack.use(openCrashEngine({ directory, newKey: () => createSessionKey() }))
  const make = (count: number) => Promise.all(Array.from({ length: count }, () => engine.create(new Map())))
  const [kept, doomed] = [await make(3), await make(20)]
  const startedAt = performance.now()
  const children = Array.from({ length: writers }, (_, i) =>
    startWriter({ directory, name: `w${i}`, kept, doomed, changes }),
  )
  await Promise.all(children.map(({ started }) => started))
  for (const key of doomed) {
    assert.equal(await engine.delete(key), true)
    assert.equal(existsSync(join(directory, `sessionid${key}`)), false, 'a deleted session is gone')
  }
  const reports = await Promise.all(children.map(({ report }) => report))
  const durationMs = performance.now() - startedAt
  assert.deepEqual(
    reports.map(({ resurrected }) => resurrected),
    Array(writers).fill(0),
  )
  for (const key of doomed) assert.deepEqual(await engine.load(key), { found: false, reason: 'not_found' })
  await assertCounts(engine, kept, reports)
  const names = readdirSync(directory).filter((name) => !name.startsWith('.sessiongate-locks-'))
  assert.deepEqual(names.toSorted(), kept.map((key) => `sessionid${key}`).toSorted(), 'and nothing else is left')
  return { changes: writers * changes, durationMs }
}

async function assertCounts(
  engine: SessionEngine,
  kept: readonly string[],
  reports: readonly WriterReport[],
): Promise<void> {
  for (const [at, key] of kept.entries()) {
    const loaded = await engine.load(key)
    assert.ok(loaded.found)
    const expected = reports.map(({ counts }, i) => [`w${i}`, `${counts[at]}`] as const)
    const total = reports.reduce((sum, { counts }) => sum + (counts[at] ?? 0), 0)
    assert.deepEqual([...loaded.data].toSorted(), [['n', `${total}`] as const, ...expected].toSorted())
  }
}

function startWriter(task: WriterTask): { started: Promise<unknown>; report: Promise<WriterReport> } {
  const child = fork(import.meta.filename, [JSON.stringify(task)])
  const started = once(child, 'message')
  const report = started.then(() => once(child, 'message')).then(([message]) => message as WriterReport)
  const died = once(child, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`a writer ended with ${code}`)
    return new Promise<never>(() => {})
  })
  return { started: Promise.race([started, died]), report: Promise.race([report, died]) }
}

async function write({ directory, name, kept, doomed, changes }: WriterTask): Promise<WriterReport> {
  await using engine = openCrashEngine({ directory, newKey: () => createSessionKey() })
  const counts = kept.map(() => 0)
  const gone = new Set<string>()
  let resurrected = 0
  for (let i = 0; i < changes; i++) {
    const at = i % kept.length
    const result = await engine.transition(kept[at] ?? '', (now) => {
      if (Number(now.get(name) ?? 0) !== counts[at]) throw new Error(`${name} is ${now.get(name)}, not ${counts[at]}`)
      const next = new Map(now).set(name, `${(counts[at] ?? 0) + 1}`)
      return { kind: 'update', data: next.set('n', `${Number(now.get('n') ?? 0) + 1}`) }
    })
    if (result.kind !== 'stored') throw new Error(`a kept session is ${result.kind}`)
    counts[at] = (counts[at] ?? 0) + 1
    const key = doomed[i % doomed.length] ?? ''
    const { kind } = await engine.transition(key, (now) => ({ kind: 'update', data: new Map(now).set(name, `${i}`) }))
    if (kind === 'gone') gone.add(key)
    else if (gone.has(key)) resurrected++
    if (i === 0) process.send?.('started')
  }
  return { counts, resurrected }
}

if (import.meta.main) {
  process.send?.(await write(JSON.parse(process.argv[2] ?? '')))
  process.disconnect?.()
}
