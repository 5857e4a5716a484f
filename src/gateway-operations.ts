import { OperationRefused, type Operations } from './admin/operations.ts'
import type { Overview } from './admin/views.ts'
import type { Config } from './config/config.ts'
import { publicHash } from './config/fingerprint.ts'
import type { ConfigSource } from './config/reloading.ts'
import { explainWith } from './explanation.ts'
import type { Generation } from './generation.ts'
import { keyViews, type SigningHistory } from './key-views.ts'
import { OperatorSessions } from './operator-sessions.ts'
import { configurationViewOf, explanationViewOf, problemViews, routeViews } from './operator-views.ts'
import { sweepExpired } from './sessions/sweep.ts'

/** Batches of a sweep that somebody waits for. */
const BATCH = 1000

export interface GatewayState {
  readonly version: string
  readonly startedAt: number
  /** In force. */
  readonly current: () => Generation
  readonly addresses: () => readonly string[]
  readonly readiness: () => Promise<{ readonly isReady: boolean; readonly checks: Readonly<Record<string, string>> }>
  readonly watchRequests: Operations['watchRequests']
  readonly signing: SigningHistory
  /** Told how many sessions the operator has ended. */
  readonly onRevoked: (count: number) => void
  readonly history: Operations['history']
  /** The file that the configuration comes from: a moment after the listeners are open, somebody follows it. */
  readonly source: () => Promise<ConfigSource>
}

export interface GatewayOperations extends Operations, AsyncDisposable {}

/** What the operator of one process can learn and do. */
export function createGatewayOperations(state: GatewayState): GatewayOperations {
  const { current } = state
  const sessions = new OperatorSessions(
    () => current().sessions.parts,
    () => current().config.admin?.showsValues === true,
  )
  return {
    overview: () => overviewOf(state),
    history: state.history,
    routes: () => routeViews(current().config),
    explain: async ({ method, url, session }) => {
      const question = { method, url, sessionId: session }
      const { config, sessions } = current()
      const explanation = await explainWith(config, question, sessions.parts).catch((error: unknown) => {
        throw session === undefined
          ? error
          : new OperationRefused(String(error instanceof Error ? error.message : error))
      })
      return explanationViewOf(explanation)
    },
    listSessions: (query, limit) => sessions.list(query, limit),
    showSession: (id) => sessions.show(id),
    async revokeSessions(which) {
      const revocation = await sessions.revoke(which)
      state.onRevoked(revocation.revoked)
      return revocation
    },
    upstreams: () => upstreamViews(current()),
    setDrained: ({ upstream, server }, isDrained) =>
      current().upstreams.get(upstream)?.setDrained(server, isDrained) ?? false,
    keys() {
      const {
        config,
        sessions: { parts },
      } = current()
      return keyViews(config, { history: state.signing, reads: parts.keyReads, now: Date.now() })
    },
    store: ({ isCounted }) => storeView(current(), isCounted ? sessions : undefined),
    clearExpired: () => clearExpired(current()),
    watchRequests: state.watchRequests,
    ...createFileOperations(() => current().config, state.source),
    [Symbol.asyncDispose]: () => sessions[Symbol.asyncDispose](),
  }
}

async function overviewOf({ version, startedAt, current, addresses, readiness }: GatewayState): Promise<Overview> {
  const { config } = current()
  const { isReady, checks } = await readiness()
  return {
    version,
    node: process.versions.node,
    started_at: new Date(startedAt).toISOString(),
    uptime_seconds: Math.round(process.uptime()),
    mode: config.mode,
    config_hash: publicHash(config),
    listen: [...addresses()],
    ready: isReady,
    checks: { ...checks },
  }
}

function upstreamViews({ config, upstreams }: Generation) {
  return [...upstreams.values()].map((upstream) => ({
    name: upstream.name,
    balance: config.upstreams.get(upstream.name)?.balance ?? 'round_robin',
    connections: { ...upstream.stats() },
    servers: upstream.servers().map(({ server, isUp, isDrained, ejections }) => ({
      ...{ server, up: isUp, drained: isDrained, ejections },
    })),
  }))
}

async function storeView({ sessions: { parts, localCache } }: Generation, counting: OperatorSessions | undefined) {
  const startedMs = performance.now()
  const latencySeconds = await parts.engine.ping().then(
    () => (performance.now() - startedMs) / 1000,
    () => null,
  )
  const isCounted = counting !== undefined && latencySeconds !== null
  return {
    engine: parts.engine.name,
    up: latencySeconds !== null,
    latency_seconds: latencySeconds,
    local_cache: localCache.text,
    sessions: isCounted ? await counting.count() : null,
    expired: isCounted ? await counting.countExpired() : null,
  }
}

async function clearExpired({ sessions: { parts } }: Generation): Promise<number> {
  let cleared = 0
  await sweepExpired(parts.engine, {
    batch: BATCH,
    pauseAfter: (tookMs) => tookMs,
    onBatch: (count) => {
      cleared += count
    },
    signal: new AbortController().signal,
  })
  return cleared
}

/** What is asked of the configuration and its file: of one process, or of the supervisor of several. */
export function createFileOperations(
  inForce: () => Config,
  source: () => Promise<ConfigSource>,
): Pick<Operations, 'configuration' | 'reload'> {
  return {
    configuration: async () => configurationViewOf(inForce(), await source()),
    async reload() {
      const outcome = await (await source()).reload()
      const problems = outcome.isTaken ? [] : problemViews(outcome.error)
      return { taken: outcome.isTaken, hash: publicHash(inForce()), problems }
    },
  }
}
