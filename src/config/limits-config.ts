import type { FileConfig } from './schema/file.ts'

/** What clients may cost in each process. `undefined` = no limit, but see `connections`. */
export interface LimitsConfig {
  /** Connections of clients. `undefined` = as many as the limit on open files leaves. */
  readonly connections: number | undefined
  /** Of one IPv4 address or one /64 of IPv6. Default: no limit. */
  readonly connectionsPerAddress: number | undefined
  /** Requests under way. Default 10,000. */
  readonly requests: number | undefined
  /** How far behind the event loop may be before new requests are refused. Default 250 ms. */
  readonly eventLoopDelayMs: number | undefined
  /** A request's head must be complete by then. Default 30 s. */
  readonly headMs: number
  /** How long an idle connection is kept. Default 75 s. */
  readonly keepAliveMs: number
  /** Of a request's body. Default 500 bytes a second, 20 s behind at most. */
  readonly upload: PaceConfig | undefined
  /** Of an answer that waits to be taken. Default 500 bytes a second, 60 s behind at most. */
  readonly download: PaceConfig | undefined
}

/** How fast a client has to be, and by how much time it may be behind. */
export interface PaceConfig {
  readonly graceMs: number
  readonly minBytesPerSecond: number
}

type FileLimits = FileConfig['limits']

/** `limits` of a file. */
export function resolveLimits(limits: FileLimits): LimitsConfig {
  return {
    connections: limits.connections,
    connectionsPerAddress: limits.connections_per_address,
    requests: limits.requests,
    eventLoopDelayMs: limits.event_loop_delay,
    headMs: limits.head,
    keepAliveMs: limits.keep_alive,
    upload: resolvePace(limits.upload),
    download: resolvePace(limits.download),
  }
}

function resolvePace(pace: FileLimits['upload']): PaceConfig | undefined {
  return pace && { graceMs: pace.grace, minBytesPerSecond: pace.min_rate }
}
