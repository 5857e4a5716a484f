import { withinDeadline } from '../deadline.ts'
import type { Scheduler } from '../scheduler.ts'
import { RedisFailure, redisFailure } from './redis-failure.ts'
import { NoticeConnection, noAnswer } from './redis-notice-connection.ts'
import { type NoticeSource, type NoticeSources, type NoticeSourcesListener, sourceAt } from './redis-notice-sources.ts'
import type { RedisHost, RedisServers } from './redis-servers.ts'

export interface SentinelSourcesOptions {
  readonly servers: Extract<RedisServers, { kind: 'redis-sentinel' }>
  /** What a sentinel has for each answer, connecting included. */
  readonly timeoutMs: number
  readonly scheduler: Scheduler
  /** 0 up to 1, exclusive. */
  readonly random: () => number
}

/**
 * The master that the sentinels name. With each heartbeat all of them are asked, not only one: after a failover it takes
 * seconds until the last of them knows, seconds in which the old master goes on as if nothing had happened, and the
 * connection that sessions are read on may have been opened by the word of the first. One that cannot be reached has no
 * say until it answers again.
 */
export function createSentinelSources(
  options: SentinelSourcesOptions,
  { onShown, onOutdated }: NoticeSourcesListener,
): NoticeSources {
  const { servers, scheduler } = options
  const guides = servers.sentinels.map((host) => new Guide(host, options))
  let named: string | undefined
  function judge({ master }: Guide): void {
    if (master && master.name !== named) onOutdated(new RedisFailure('lost', 'a sentinel names another master'))
    else if (guides.every((guide) => !guide.master)) onOutdated(silence(guides))
    else onShown()
  }
  return {
    async find() {
      await Promise.all(guides.map((guide) => guide.ask(scheduler.nowMs())))
      const masters = guides.flatMap(({ master }) => master ?? [])
      const [source, ...others] = masters
      if (!source) throw silence(guides)
      if (others.some(({ name }) => name !== source.name))
        throw new RedisFailure('lost', 'the sentinels do not agree about the master (yet)')
      named = source.name
      return [source]
    },
    beat(atMs) {
      for (const guide of guides) guide.ask(atMs).then(() => judge(guide))
    },
    get shownAtMs() {
      const answers = guides.flatMap(({ master, saidAtMs }) => (master ? saidAtMs : []))
      return answers.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...answers)
    },
    close() {
      for (const guide of guides) guide.close()
    },
  }
}

/** Between two attempts to reach a sentinel that could not be; up to half of it more, by chance. */
const PAUSE_MS = 1000

/** One sentinel. */
class Guide {
  /** What it said last, unless it has been lost since. */
  master: NoticeSource | undefined
  /** When it was asked what it answered by that. */
  saidAtMs = Number.NEGATIVE_INFINITY
  /** Why it says nothing. */
  failure: RedisFailure | undefined
  readonly #host: RedisHost
  readonly #options: SentinelSourcesOptions
  #connection: NoticeConnection | undefined
  #connected: Promise<void> | undefined
  #notBeforeMs = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(host: RedisHost, options: SentinelSourcesOptions) {
    this.#host = host
    this.#options = options
  }

  /** Asks for the master; resolves when it is known what came of it, which it never fails to. */
  async ask(atMs: number): Promise<void> {
    const { scheduler, timeoutMs } = this.#options
    if (this.#isClosed || (!this.#connection && scheduler.nowMs() < this.#notBeforeMs)) return
    this.#connection ??= this.#opened()
    const connection = this.#connection
    try {
      const asking = this.#masterBy(connection)
      const master = await withinDeadline(asking, { timeoutMs, scheduler, onExpire: noAnswer })
      if (connection !== this.#connection) return
      this.master = sourceAt({ kind: 'tcp', ...master })
      this.saidAtMs = atMs
      this.failure = undefined
    } catch (error) {
      this.#lose(connection, redisFailure(error))
    }
  }

  close(): void {
    this.#isClosed = true
    this.#connection?.close()
    this.#connection = undefined
  }

  #opened(): NoticeConnection {
    const { servers, timeoutMs, scheduler } = this.#options
    const connection: NoticeConnection = new NoticeConnection({
      servers: { username: servers.sentinelUsername, password: servers.sentinelPassword, tls: servers.tls },
      socket: { kind: 'tcp', ...this.#host },
      connectTimeoutMs: timeoutMs,
      silenceMs: 10 * timeoutMs,
      scheduler,
      onEnd: (failure) => this.#lose(connection, failure),
    })
    this.#connected = connection.connect()
    return connection
  }

  async #masterBy(connection: NoticeConnection): Promise<RedisHost> {
    await this.#connected
    const reply = await connection.call('sentinel', 'get-master-addr-by-name', this.#options.servers.master)
    if (reply === null) throw new RedisFailure('lost', 'the sentinels know no master of that name')
    const [host = '', port = ''] = Array.isArray(reply) ? reply.map(String) : []
    if (host === '' || !/^\d{1,5}$/.test(port)) throw new RedisFailure('garbled', 'a sentinel gave no address')
    return { host, port: Number(port) }
  }

  #lose(connection: NoticeConnection, failure: RedisFailure): void {
    if (connection !== this.#connection) return
    connection.close()
    this.#connection = undefined
    this.master = undefined
    this.failure = failure
    const { scheduler, random } = this.#options
    this.#notBeforeMs = scheduler.nowMs() + PAUSE_MS * (1 + random() / 2)
  }
}

/** What an operator can do something about comes first. */
function silence(guides: readonly Guide[]): RedisFailure {
  const failures = guides.flatMap(({ failure }) => failure ?? [])
  const refusal = failures.find(({ kind }) => kind === 'auth' || kind === 'refused')
  if (refusal) return new RedisFailure(refusal.kind, `the sentinels: ${refusal.message}`, { code: refusal.code })
  const speaking = failures.find(({ code }) => code === 'LOST')
  return speaking ?? new RedisFailure('lost', 'no sentinel can be reached')
}
