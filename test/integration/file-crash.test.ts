import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertWhole, findKillPoints, type KillPoint, killAtEach, runTraced } from '../support/file-crash.ts'
import type { CrashStep } from '../support/file-crash-program.ts'
import { requireServer } from '../support/requirement.ts'

const strace = requireServer('strace')
const { skip } = strace

const steps: readonly CrashStep[] = [
  { kind: 'create', id: 'a' },
  { kind: 'update', id: 'a' },
  { kind: 'cycle', id: 'a' },
  { kind: 'update', id: 'a' },
  { kind: 'delete', id: 'a' },
]

/** Calls that change what another process finds in the folder, or after a crash of the machine. */
const changing = new Set(['write', 'pwrite64', 'fsync', 'rename', 'unlink', 'utimensat', 'mkdir'])

/** All points at which something changes, all openings of session files, and each eighth of the others. */
function choose(points: readonly KillPoint[]): readonly KillPoint[] {
  const isChosen = ({ call, name }: KillPoint) =>
    changing.has(call) || (call === 'openat' && name.startsWith('sessionid'))
  return [...points.filter(isChosen), ...points.filter((it) => !isChosen(it)).filter((_, i) => i % 8 === 0)]
}

test('a process that is killed at a system call loses nothing that it acknowledged, and tears nothing', {
  skip,
}, async (context) => {
  const points = await findKillPoints(strace.path, steps)
  const chosen = choose(points)
  assert.equal(await killAtEach(strace.path, steps, chosen), chosen.length, 'each run was killed')
  const count = (call: string) => chosen.filter((it) => it.call === call).length
  // Three files that are written and renamed: the first, two changes, and the copy of the cycle.
  assert.ok(count('rename') >= 4 && count('fsync') >= 8 && count('unlink') >= 2, 'the calls were found')
  context.diagnostic(`killed at ${chosen.length} of ${points.length} system calls on the folder`)
})

test('a process that nobody kills leaves nothing but its sessions', { skip }, async () => {
  await using run = await runTraced(strace.path, steps.slice(0, -1), { calls: 'fsync' })
  assert.equal(run.wasKilled, false)
  assert.equal(run.acknowledged.length, steps.length - 1)
  await assertWhole(run, steps.slice(0, -1))
})

/** What a step must do, in this order, one call after the other, before it is acknowledged. */
const orders: Readonly<Record<CrashStep['kind'], string>> = {
  create: 'write file, sync file, rename, sync folder',
  update: 'write file, sync file, rename, sync folder',
  cycle: 'write file, sync file, rename, sync folder, unlink, sync folder',
  delete: 'unlink, sync folder',
}

test('everything is durable before it is acknowledged: file, then name, then folder', { skip }, async () => {
  const ids = Array.from({ length: 10 }, (_, i) => `s${i}`)
  const kinds = ['create', 'update', 'cycle', 'update', 'delete'] as const
  const many = kinds.flatMap((kind) => ids.map((id) => ({ kind, id })))
  await using run = await runTraced(strace.path, many, { calls: 'write,pwrite64,fsync,fdatasync,rename,unlink' })
  assert.equal(run.acknowledged.length, many.length)
  const events = readEvents(run.log, run.directory)
  for (const [i, event] of events.entries()) {
    const next = events[i + 1]
    assert.ok(!next || event.endedAt < next.beganAt, `${event.what} is not over when ${next?.what} begins`)
  }
  const perStep = events
    .map(({ what }) => what)
    .join(', ')
    .split(/, acknowledge(?:, )?/)
  assert.deepEqual(
    perStep.slice(0, -1),
    many.map(({ kind }) => orders[kind]),
  )
})

interface Event {
  readonly what: string
  /** Lines of the log. */
  readonly beganAt: number
  readonly endedAt: number
}

/** The calls on the folder and the acknowledgements, in their order. */
function readEvents(log: readonly string[], directory: string): readonly Event[] {
  const events: Event[] = []
  for (const [beganAt, line] of log.entries()) {
    const [, thread = '', call = '', rest = ''] = /^(\d+) +([a-z0-9]+)\((.*)$/.exec(line) ?? []
    const what = nameEvent(call, rest, directory)
    if (what === undefined) continue
    const isCut = line.endsWith('<unfinished ...>')
    const resumed = isCut ? log.findIndex((it, i) => i > beganAt && isResumed(it, thread, call)) : beganAt
    assert.ok(resumed !== -1 && / = \d+$/.test(log[resumed] ?? ''), `${line} succeeded`)
    events.push({ what, beganAt, endedAt: resumed })
  }
  return events
}

function nameEvent(call: string, rest: string, directory: string): string | undefined {
  if (call === 'write' && /^1</.test(rest)) return 'acknowledge'
  if (!rest.includes(directory) || rest.includes('.sessiongate-locks')) return undefined
  if (call === 'rename' || call === 'unlink') return call
  if (call === 'write' || call === 'pwrite64') return 'write file'
  return rest.includes(`<${directory}>`) ? 'sync folder' : 'sync file'
}

function isResumed(line: string, thread: string, call: string): boolean {
  return line.startsWith(thread) && line.includes(`<... ${call} resumed>`)
}
