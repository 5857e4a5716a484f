import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createSessionKey } from '../../src/django/session-key.ts'
import { within } from './deadline.ts'
import { type Acknowledgement, type CrashStep, openCrashEngine, parseAcknowledgements } from './file-crash-program.ts'

const PROGRAM = join(import.meta.dirname, 'file-crash-program.ts')

/** A system call, on one path of the folder; `at` counts the calls of that name on that path, from 1, in one thread. */
export interface KillPoint {
  readonly call: string
  /** The file's name in the folder; '' for the folder itself. */
  readonly name: string
  readonly at: number
}

export interface CrashRun extends AsyncDisposable {
  readonly directory: string
  /** Whether the program was killed before it had done all steps. */
  readonly wasKilled: boolean
  readonly acknowledged: readonly Acknowledgement[]
  /** strace's lines: thread, call, arguments with paths beside the descriptors. */
  readonly log: readonly string[]
}

interface Tracing {
  /** Calls to be seen, as strace's `-e trace=` takes them. */
  readonly calls: string
  /** Only calls on these; default all. Names in the folder. */
  readonly names?: readonly string[]
  readonly killAt?: KillPoint
}

/** Runs the steps in a process of their own, in a fresh folder, under strace. */
export async function runTraced(
  strace: string,
  steps: readonly CrashStep[],
  { calls, names = [], killAt }: Tracing,
): Promise<CrashRun> {
  const home = await mkdtemp(join(tmpdir(), 'sessiongate-crash-'))
  const directory = await mkdtemp(join(home, 'sessions-'))
  const logPath = join(home, 'strace.log')
  const paths = names.flatMap((name) => ['-P', name === '' ? directory : join(directory, name)])
  const inject = killAt ? ['-e', `inject=${killAt.call}:signal=SIGKILL:when=${killAt.at}`] : []
  const options = ['-f', '-qq', '-y', '-s', '40', '-o', logPath, '-e', `trace=${calls}`, ...paths, ...inject]
  const task = JSON.stringify({ directory, steps })
  const child = spawn(strace, [...options, process.execPath, PROGRAM, task], {
    // One thread for all that is asynchronous: strace counts the calls of each thread by themselves.
    env: { PATH: process.env.PATH, UV_THREADPOOL_SIZE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = Promise.all([text(child.stdout), text(child.stderr)])
  const [code, signal] = await within('the traced program', once(child, 'exit'), 60_000)
  const [stdout, stderr] = await output
  const wasKilled = signal === 'SIGKILL'
  assert.ok(wasKilled || code === 0, `the program ended with ${code} ${signal}: ${stderr}`)
  return {
    directory,
    wasKilled,
    acknowledged: parseAcknowledgements(stdout),
    log: (await readFile(logPath, 'utf8')).split('\n'),
    [Symbol.asyncDispose]: () => rm(home, { recursive: true }),
  }
}

/**
 * Every system call that the steps make on the folder and what is in it: first one run that tells the names, then one for
 * each name that counts the calls on it.
 */
export async function findKillPoints(strace: string, steps: readonly CrashStep[]): Promise<readonly KillPoint[]> {
  const names = new Set<string>([''])
  {
    await using run = await runTraced(strace, steps, { calls: '%file' })
    const parts = run.log.join('\n').split(`${run.directory}/`).slice(1)
    for (const part of parts) names.add(/^[^">]+/.exec(part)?.[0] ?? '')
  }
  const points = await inParallel([...names], async (name) => {
    await using run = await runTraced(strace, steps, { calls: '%file,%desc', names: [name] })
    return [...countCalls(run.log)].flatMap(([call, count]) =>
      Array.from({ length: count }, (_, i) => ({ call, name, at: i + 1 })),
    )
  })
  return points.flat()
}

/** How many calls of each name there are; of two threads that make the same call, the one that makes it more often. */
function countCalls(log: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  const most = new Map<string, number>()
  for (const line of log) {
    const [, thread, call] = /^(\d+) +([a-z][a-z0-9_]*)\(/.exec(line) ?? []
    if (thread === undefined || call === undefined) continue
    const count = (counts.get(`${thread} ${call}`) ?? 0) + 1
    counts.set(`${thread} ${call}`, count)
    most.set(call, Math.max(most.get(call) ?? 0, count))
  }
  return most
}

/**
 * Runs the steps once for each point, kills the program right before that call, and looks at what is left.
 *
 * @returns How many of the runs were killed: all of them, unless the program does not do the same each time.
 */
export async function killAtEach(
  strace: string,
  steps: readonly CrashStep[],
  points: readonly KillPoint[],
): Promise<number> {
  const wereKilled = await inParallel(points, async (killAt) => {
    await using run = await runTraced(strace, steps, { calls: killAt.call, names: [killAt.name], killAt })
    try {
      await assertWhole(run, steps)
    } catch (error) {
      throw new Error(`killed at ${JSON.stringify(killAt)}`, { cause: error })
    }
    return run.wasKilled
  })
  return wereKilled.filter((it) => it).length
}

/** Two at a time, which is what a small machine has processors for. */
async function inParallel<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = []
  const rest = items.entries()
  const work = async () => {
    for (const [i, item] of rest) results[i] = await run(item)
  }
  await Promise.all([work(), work()])
  return results
}

/** What the files of a folder hold for one session: its counter in each file that has its `id`. */
type Copies = ReadonlyMap<string, readonly { readonly key: string; readonly n: number }[]>

const HOURS_MS = 3_600_000

/**
 * Whatever was acknowledged before the kill is there, and the step that was under way is done or not done, wholly. No file
 * is there that is not a session, no lock is held, and what is left over goes with the next sweep, when it is old.
 */
export async function assertWhole({ directory, acknowledged }: CrashRun, steps: readonly CrashStep[]): Promise<void> {
  await using engine = openCrashEngine({ directory, newKey: () => createSessionKey() })
  const underWay = steps[acknowledged.length]
  const copies = await readCopies(directory, engine, underWay)
  const ids = new Set(steps.map(({ id }) => id))
  for (const id of ids) {
    const isUnderWay = underWay?.id === id
    const { n, key } = stateOf(steps, acknowledged, id)
    const found = copies.get(id) ?? []
    const allowed = isUnderWay && underWay ? outcomesOf(underWay.kind, n) : [n === undefined ? [] : [n]]
    const counts = found.map((copy) => copy.n).toSorted((a, b) => a - b)
    assert.ok(
      allowed.some((it) => JSON.stringify(it) === JSON.stringify(counts)),
      `${id} has ${JSON.stringify(found)} instead of one of ${JSON.stringify(allowed)}; ${JSON.stringify(underWay)}`,
    )
    const mayMove = isUnderWay && (underWay?.kind === 'cycle' || underWay?.kind === 'create')
    if (!mayMove) for (const copy of found) assert.equal(copy.key, key, `${id} is under another key`)
  }
  for (const { key } of [...copies.values()].flat()) {
    const result = await engine.transition(key, (data) => ({ kind: 'update', data }))
    assert.equal(result.kind, 'stored', 'a session can be changed after the crash')
  }
  await assertSwept(directory, copies)
}

async function readCopies(
  directory: string,
  engine: ReturnType<typeof openCrashEngine>,
  underWay: CrashStep | undefined,
): Promise<Copies> {
  const copies = new Map<string, { key: string; n: number }[]>()
  for (const name of await readdir(directory)) {
    const [, key] = /^sessionid([a-z0-9]{32})$/.exec(name) ?? []
    if (key === undefined) {
      assert.match(name, /^sessionid[a-z0-9]{32}_out_[a-z0-9]{8}$|^\.sessiongate-locks-\d+$/, 'a stray name')
      continue
    }
    const loaded = await engine.load(key)
    if (!loaded.found) {
      // The claim of a name, before the session takes its place.
      assert.equal(loaded.reason, 'not_found', 'a file that is not whole')
      assert.ok(underWay?.kind === 'create' || underWay?.kind === 'cycle', 'an empty file')
      continue
    }
    const id = JSON.parse(loaded.data.get('id') ?? '')
    copies.set(id, [...(copies.get(id) ?? []), { key, n: Number(loaded.data.get('n')) }])
  }
  return copies
}

/** Where the acknowledged steps leave a session; no `n`: it is not there. */
function stateOf(
  steps: readonly CrashStep[],
  acknowledged: readonly Acknowledgement[],
  id: string,
): { readonly n: number | undefined; readonly key: string | undefined } {
  let n: number | undefined
  let key: string | undefined
  for (const { step, key: now } of acknowledged) {
    const it = steps[step]
    if (it?.id !== id) continue
    key = now
    if (it.kind === 'create') n = 0
    else n = it.kind === 'delete' ? undefined : (n ?? 0) + 1
  }
  return { n, key }
}

/** The counters that may be found when a step was cut short that found the session at `n`. */
function outcomesOf(kind: CrashStep['kind'], n = 0): readonly (readonly number[])[] {
  switch (kind) {
    case 'create':
      return [[], [0]]
    case 'update':
      return [[n], [n + 1]]
    case 'delete':
      return [[n], []]
    // The new one first: in between there are two, and nobody was told the key of the second.
    case 'cycle':
      return [[n], [n, n + 1], [n + 1]]
  }
}

async function assertSwept(directory: string, copies: Copies): Promise<void> {
  const clock = () => Date.now() + 2 * HOURS_MS
  await using later = openCrashEngine({ directory, newKey: () => createSessionKey(), clock })
  assert.equal(await later.clearExpired(1000), 0, 'no session is over')
  const names = (await readdir(directory)).filter((name) => !name.startsWith('.sessiongate-locks-'))
  const expected = [...copies.values()].flat().map(({ key }) => `sessionid${key}`)
  assert.deepEqual(names.toSorted(), expected.toSorted(), 'what is left over is swept away')
  const [locks = ''] = (await readdir(directory)).filter((name) => name.startsWith('.sessiongate-locks-'))
  if (locks === '') return
  const odd = (await readdir(join(directory, locks))).filter((name) => !/^\d+\.lock$/.test(name))
  assert.deepEqual(odd, [], 'nothing beside the locks')
}
