import type { z } from 'zod'
import { OperationRefused, type Operations } from '../admin/operations.ts'
import type { Overview, SessionList, UpstreamView } from '../admin/views.ts'
import type { Config } from '../config/config.ts'
import { publicHash } from '../config/fingerprint.ts'
import { askOne, askWorker, noAnswer, outcomeOf } from './asking.ts'
import { type Crew, readinessOf } from './crew.ts'
import type { DrainedServers } from './drained-servers.ts'
import { sumKeys } from './key-sums.ts'
import { type Operation, outcomes, type ServerPlace } from './operation-messages.ts'
import type { SharedTail } from './shared-tail.ts'
import { sumUpstreams } from './upstream-sums.ts'

export interface FleetState {
  readonly version: string
  readonly startedAt: number
  /** In force. */
  readonly config: () => Config
  /** Where the workers listened first. */
  readonly addresses: () => readonly string[]
  readonly crew: Crew
  readonly drained: DrainedServers
  readonly tail: Pick<SharedTail, 'watch'>
  readonly history: Operations['history']
  /** While that runs, no worker starts, and none gets another configuration. */
  readonly inTurn: <T>(task: () => Promise<T>) => Promise<T>
  /** What the supervisor can tell by itself. */
  readonly ofFile: Pick<Operations, 'configuration' | 'reload'>
}

/**
 * What the operator of several workers can learn and do. Sessions, rules and keys are the same in all of them, so one is
 * asked; what each has of its own is asked of all and put together.
 */
export function createFleetOperations(state: FleetState): Operations {
  const { crew, tail, history, ofFile } = state
  const serving = () => crew.serving().map(({ worker }) => worker)
  const one = async <T>(operation: Operation, outcome: z.ZodType<T>): Promise<T> =>
    (await askOne(serving(), operation, outcome)).value
  return {
    overview: () => overviewOf(state),
    history,
    routes: () => one({ name: 'routes' }, outcomes.routes),
    explain: (question) => one({ name: 'explain', ...question }, outcomes.explain),
    listSessions: (query, limit) => listSessions(crew, query, limit),
    showSession: async (id) => (await one({ name: 'showSession', id }, outcomes.showSession)) ?? undefined,
    // If it dies over it, the next one ends what is left: what is gone stays gone, and is not counted again.
    revokeSessions: (which) => one({ name: 'revokeSessions', which }, outcomes.revokeSessions),
    upstreams: () => upstreamsOf(crew),
    setDrained: (place, isDrained) => state.inTurn(() => setDrained(state, place, isDrained)),
    keys: async () => sumKeys((await askAll(crew, { name: 'keys' }, outcomes.keys)).map(({ value }) => value)),
    store: ({ isCounted }) => one({ name: 'store', isCounted }, outcomes.store),
    clearExpired: () => one({ name: 'clearExpired' }, outcomes.clearExpired),
    watchRequests: (onLine, onLeftOut) => tail.watch(onLine, onLeftOut),
    ...ofFile,
  }
}

async function overviewOf({ version, startedAt, config, addresses, crew }: FleetState): Promise<Overview> {
  const workers = crew.serving().map(({ worker }) => worker)
  const [{ isReady, checks, ready }, seen] = await Promise.all([
    readinessOf(crew),
    // Where they listen by now; this is told also when none is there to say it.
    askOne(workers, { name: 'overview' }, outcomes.overview).catch(() => undefined),
  ])
  return {
    version,
    node: process.versions.node,
    started_at: new Date(startedAt).toISOString(),
    uptime_seconds: Math.round(process.uptime()),
    mode: config().mode,
    config_hash: publicHash(config()),
    listen: [...(seen?.value.listen ?? addresses())],
    ready: isReady,
    checks: { ...checks },
    workers: crew.serving().map(({ number, worker }) => ({
      worker: number,
      pid: worker.pid,
      version: worker.version,
      uptime_seconds: Math.round(worker.servedMs / 1000),
      ready: ready.has(number),
    })),
  }
}

/** A list that was begun is kept by the worker that has begun it: its pid stands before the cursor. */
async function listSessions(
  crew: Crew,
  query: Parameters<Operations['listSessions']>[0],
  limit: number,
): Promise<SessionList> {
  if (query.kind !== 'cursor') {
    const workers = crew.serving().map(({ worker }) => worker)
    const operation = { name: 'listSessions', query, limit } as const
    const { worker, value } = await askOne(workers, operation, outcomes.listSessions)
    return withCursorOf(worker.pid, value)
  }
  const [, pid, cursor = ''] = /^(\d+)\.(.+)$/.exec(query.cursor) ?? []
  const keeper = crew.listening().find((worker) => String(worker.pid) === pid)
  if (keeper === undefined) throw new OperationRefused('no worker keeps this list any more; begin again')
  const operation = { name: 'listSessions', query: { kind: 'cursor', cursor }, limit } as const
  const answer = await askWorker(keeper, operation, outcomes.listSessions)
  if (answer === undefined) throw new OperationRefused('the worker that keeps this list does not answer; begin again')
  return withCursorOf(keeper.pid, outcomeOf(answer))
}

function withCursorOf(pid: number, list: SessionList): SessionList {
  return { ...list, next: list.next === null ? null : `${pid}.${list.next}` }
}

async function upstreamsOf(crew: Crew): Promise<UpstreamView[]> {
  const seen = await askAll(crew, { name: 'upstreams' }, outcomes.upstreams)
  return sumUpstreams(seen.map(({ pid, value }) => ({ pid, upstreams: value })))
}

/** Those that answer in time. @throws {OperationRefused} if none does. */
async function askAll<T>(
  crew: Crew,
  operation: Operation,
  outcome: z.ZodType<T>,
): Promise<{ pid: number; value: T }[]> {
  const answers = await Promise.all(
    crew.listening().map(async (worker) => {
      const answer = await askWorker(worker, operation, outcome)
      return answer && { pid: worker.pid, value: outcomeOf(answer) }
    }),
  )
  const told = answers.filter((answer) => answer !== undefined)
  if (told.length === 0) throw noAnswer()
  return told
}

/** Those that end politely are told too: requests still come on the connections that they have. */
async function setDrained({ crew, drained }: FleetState, place: ServerPlace, isDrained: boolean): Promise<boolean> {
  const answers = await Promise.all(
    crew.listening().map(async (worker) => {
      const answer = await askWorker(worker, { name: 'setDrained', place, isDrained }, outcomes.setDrained)
      return { worker, isKnown: answer && outcomeOf(answer) }
    }),
  )
  const known = answers.filter(({ isKnown }) => isKnown !== undefined)
  if (known.length === 0) throw noAnswer()
  if (!known.some(({ isKnown }) => isKnown)) return false
  drained.note(place, isDrained)
  const silent = answers.filter(({ worker, isKnown }) => isKnown === undefined && !worker.hasEnded)
  if (silent.length === 0) return true
  const pids = silent.map(({ worker }) => worker.pid).join(', ')
  const words = isDrained ? 'drained' : 'back in service'
  throw new OperationRefused(`${words}, but not in the workers that do not answer (pid ${pids}); ask again`)
}
