import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeSessionData } from '../../src/django/json.ts'
import type { MergeSample, Sample } from './measure.ts'
import { SESSION_BYTES, sampleSession } from './sample-session.ts'
import { type Side, startSide } from './side.ts'
import { type BenchStore, type Place, SECRET_KEY, type Servers } from './stores.ts'

/** Enough that sixteen at a time do not meet in one; all of them are read once before reading is measured. */
const SESSIONS = 256

/** What a side is to do for some seconds. `inFlight` of `merge` is the number of writers, over all processes. */
export interface Task {
  readonly operation: 'load' | 'save' | 'merge'
  readonly seconds: number
  readonly inFlight: number
}

export type Run = (task: Task) => Promise<Sample>

/** Both sides on one store, with sessions in it. */
export interface Contest extends AsyncDisposable {
  /** Processes of each side in `merge`: two, where two can share the store. */
  readonly processes: number
  readonly gateway: Run
  /** Undefined where there is nobody to compare with. */
  readonly django: Run | undefined
  /** Of Python, Django, and its clients. */
  readonly versions: Readonly<Record<string, string>>
  /** Why there is no Django. */
  readonly djangoFlaw: string | undefined
}

export interface ContestOptions {
  readonly servers: Servers
  /** The Python that can import Django; '' when there is none. */
  readonly python: string
}

export async function openContest(store: BenchStore, { servers, python }: ContestOptions): Promise<Contest> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const place = await store.open(servers, folder)
  const processes = store.isShared && store.merges ? 2 : 1
  const path = await writeYaml(place, folder)
  const ours = Array.from({ length: processes }, () => stack.use(startGatewaySide(path)))
  // One more than is loaded and saved: the one that everybody changes at once.
  const keys = await first(ours).call<string[]>('seed', { count: SESSIONS + 1 })
  const startDjango = () => Array.from({ length: processes }, () => stack.use(startDjangoSide(python, place)))
  const django = python === '' ? { flaw: 'there is no Django' } : await openDjango(store, startDjango(), keys)
  const closing = stack.move()
  return {
    processes,
    gateway: runOn(ours, keys),
    django: 'run' in django ? django.run : undefined,
    versions: 'run' in django ? django.versions : {},
    djangoFlaw: 'run' in django ? undefined : django.flaw,
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

function first(processes: readonly Side[]): Side {
  const [side] = processes
  if (side === undefined) throw new TypeError('a side has at least one process')
  return side
}

async function writeYaml(place: Place, folder: string): Promise<string> {
  const path = join(folder, 'bench.yaml')
  const yaml = `
version: 1
session:
  secret_key: ${SECRET_KEY}
  store_timeout: 10s
  ${place.session.join('\n  ')}
${place.sections}
keys: [{ id: bench, secret: "0123456789abcdef0123456789abcdef" }]
upstreams: { app: { servers: ["http://127.0.0.1:1"] } }
routes: [{ id: app, match: { path: /* }, upstream: app }]
`
  await writeFile(path, yaml, { mode: 0o600 })
  return path
}

function startGatewaySide(path: string): Side {
  return startSide(process.execPath, [join(import.meta.dirname, 'gateway-side.ts'), path], {})
}

function startDjangoSide(python: string, { django }: Place): Side {
  const env = {
    PATH: process.env.PATH,
    PYTHONDONTWRITEBYTECODE: '1',
    SETTINGS: JSON.stringify({ SECRET_KEY, ...django }),
  }
  return startSide(python, [join(import.meta.dirname, 'django_side.py')], { env })
}

type Django = { readonly run: Run; readonly versions: Readonly<Record<string, string>> } | { readonly flaw: string }

/** What Django needs for this store may be missing: then the gateway is measured alone. */
async function openDjango(store: BenchStore, processes: readonly Side[], keys: readonly string[]): Promise<Django> {
  const side = first(processes)
  const source = writeSessionData(sampleSession(SESSION_BYTES))
  try {
    const versions = await side.call<Record<string, string>>('versions', {})
    const own = store.isShared ? keys : await side.call<string[]>('seed', { count: SESSIONS + 1, source })
    const run = runOn(processes, own)
    await run({ operation: 'load', seconds: 0.1, inFlight: 1 })
    return { run, versions }
  } catch (error) {
    return { flaw: String(error) }
  }
}

function runOn(processes: readonly Side[], keys: readonly string[]): Run {
  return async ({ operation, ...slot }) =>
    operation === 'merge'
      ? await merge(processes, { ...slot, keys: keys.slice(-1) })
      : await first(processes).call<Sample>(operation, { ...slot, keys: keys.slice(0, -1) })
}

/** All processes at once; what was lost at the very end only shows when all of them are done. */
async function merge(
  processes: readonly Side[],
  { keys, seconds, inFlight }: { keys: readonly string[]; seconds: number; inFlight: number },
): Promise<Sample> {
  const writers = Array.from({ length: inFlight }, (_, i) => `writer${i}`)
  const samples = await Promise.all(
    processes.map((side, part) => {
      const names = writers.filter((_, i) => i % processes.length === part)
      return side.call<MergeSample>('merge', { keys, seconds, names })
    }),
  )
  const last = Object.assign({}, ...samples.map((sample) => sample.last))
  const missing = await first(processes).call<number>('missing', { key: keys[0], last })
  const sum = (of: (sample: Sample) => number): number => samples.reduce((total, sample) => total + of(sample), 0)
  const operations = sum((sample) => sample.operations)
  return {
    operations,
    perSecond: sum((sample) => sample.perSecond),
    p50Ms: Math.max(...samples.map((sample) => sample.p50Ms)),
    p99Ms: Math.max(...samples.map((sample) => sample.p99Ms)),
    cpuMicrosPerOperation: sum((sample) => sample.cpuMicrosPerOperation * sample.operations) / operations,
    lost: sum((sample) => sample.lost) + missing,
    failed: sum((sample) => sample.failed),
  }
}
