import { Pool, type PoolClient, type PoolConfig, type QueryResult, type QueryResultRow } from 'pg'
import type { GatewayError } from '../../errors.ts'
import { withinDeadline } from '../deadline.ts'
import { systemScheduler } from '../scheduler.ts'
import { storeUnavailable } from '../store-failure.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { PostgresClient } from './postgres-client.ts'
import { connectFailure, costsConnection, isServerGone, postgresFailure } from './postgres-failure.ts'

export interface PostgresPoolOptions {
  readonly address: PostgresAddress
  /** At most so many connections of this process. */
  readonly poolSize: number
  /** True: nothing may be left behind in a connection, which belongs to somebody else after each transaction. */
  readonly pgbouncer: boolean
  /** Of every call, waiting for a connection included, in milliseconds. */
  readonly timeoutMs: number
}

export interface PostgresStatement {
  readonly text: string
  /** Prepared under this name, once per connection; without one it is planned anew each time. */
  readonly name?: string
}

/** Runs one statement; every failure comes out as `ERR_STORE_UNAVAILABLE`. */
export type RunStatement = <R extends QueryResultRow>(
  statement: PostgresStatement,
  values?: readonly unknown[],
) => Promise<QueryResult<R>>

/** A statement for {@link PostgresPool.runBatch}. */
export interface PostgresBatch {
  readonly statement: PostgresStatement
  readonly values: readonly unknown[]
  readonly timeoutMs: number
}

/** For so long an unused connection is kept: longer than the driver's ten seconds, shorter than a firewall remembers. */
const IDLE_MS = 60_000
const KEEP_ALIVE_AFTER_MS = 30_000

/**
 * One call of the table's user: from asking to answering, over all its statements. When its time is over the connection
 * that it uses is destroyed, so that a late answer cannot reach anybody else, and nothing more is sent.
 */
export class PostgresCall {
  /** Set when the time is over. */
  failure: GatewayError | undefined
  /** Destroys the connection in use. */
  abort: ((failure: GatewayError) => void) | undefined
}

/** Connections to one database that are lent for a statement or two, under a deadline. Connects when first asked. */
export class PostgresPool implements AsyncDisposable {
  readonly #pool: Pool
  readonly #place: string
  readonly #pgbouncer: boolean
  readonly #timeoutMs: number
  /** Counts the times that the server went away; a connection from before is not used any more. */
  #generation = 0
  readonly #generations = new WeakMap<PoolClient, number>()
  readonly #underWay = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  constructor(options: PostgresPoolOptions) {
    this.#place = options.address.place
    this.#pgbouncer = options.pgbouncer
    this.#timeoutMs = options.timeoutMs
    this.#pool = new Pool(poolConfig(options))
    // A connection that dies in the pool is replaced when the next one is needed. Unheard, the event ends the process.
    this.#pool.on('error', ignore)
    this.#pool.on('connect', (client) => {
      this.#generations.set(client, this.#generation)
      client.on('error', ignore) // while it is lent, nobody else listens; its statement fails by itself
    })
  }

  /**
   * Settles within `timeoutMs`, by default the pool's, whatever `body` waits for.
   *
   * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when the time is over.
   */
  async call<T>(body: (call: PostgresCall) => Promise<T>, timeoutMs: number = this.#timeoutMs): Promise<T> {
    if (this.#closing !== undefined) throw storeUnavailable(`the connection to PostgreSQL at ${this.#place} is closed`)
    const call = new PostgresCall()
    const running = withinDeadline(body(call), {
      timeoutMs,
      scheduler: systemScheduler,
      onExpire: () => {
        const failure = storeUnavailable(`PostgreSQL at ${this.#place} did not answer within ${timeoutMs} ms`)
        call.failure = failure
        call.abort?.(failure)
        return failure
      },
    })
    this.#underWay.add(running)
    try {
      return await running
    } finally {
      this.#underWay.delete(running)
    }
  }

  /** Statements that change something. They are never sent twice: if the connection is lost, their outcome is unknown. */
  async write<T>(call: PostgresCall, work: (run: RunStatement) => Promise<T>): Promise<T> {
    return await (await this.#lend(call, work)).outcome
  }

  /** Statements that only read: once more on a fresh connection, if the one in use was lost. */
  async read<T>(call: PostgresCall, work: (run: RunStatement) => Promise<T>): Promise<T> {
    const { outcome, failure } = await this.#lend(call, work)
    const isLost = failure !== undefined && call.failure === undefined && isServerGone(failure)
    return await (isLost ? this.write(call, work) : outcome)
  }

  /**
   * One statement that may take longer than others, in a transaction with a time-out of its own: such a setting ends with
   * the transaction, so pgbouncer does not mind.
   */
  async runBatch<R extends QueryResultRow>(
    call: PostgresCall,
    { statement, values, timeoutMs }: PostgresBatch,
  ): Promise<QueryResult<R>> {
    return await this.write(call, async (run) => {
      const serverMs = share(timeoutMs, 0.9)
      await run({ text: `BEGIN; SET LOCAL statement_timeout = ${serverMs}; SET LOCAL lock_timeout = ${serverMs}` })
      const result = await run<R>(statement, values)
      await run({ text: 'COMMIT' })
      return result
    })
  }

  /** Waits for the calls under way; closed under their feet, the pool would let those without a connection wait in vain. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#underWay).then(() => this.#pool.end())
    await this.#closing
  }

  /** `failure` is the one after which the connection was given up; what `work` came to is in `outcome`. */
  async #lend<T>(call: PostgresCall, work: (run: RunStatement) => Promise<T>) {
    const client = await this.#connect(call)
    let failure: GatewayError | undefined
    let isLent = true
    const giveBack = (flaw: GatewayError | undefined) => {
      // A transaction that is still open would swallow the next caller's writes.
      if (isLent) client.release(flaw ?? client.getTransactionStatus() !== 'I')
      isLent = false
    }
    const run: RunStatement = async ({ name, text }, values = []) => {
      if (call.failure !== undefined) throw call.failure
      try {
        const prepared = this.#pgbouncer || name === undefined ? {} : { name }
        return await client.query({ ...prepared, text, values: [...values] })
      } catch (error) {
        const reported = postgresFailure(this.#place, error)
        if (costsConnection(error)) failure = reported
        throw reported
      }
    }
    call.abort = giveBack
    const outcome = Promise.resolve(work(run))
    await outcome.catch(ignore)
    call.abort = undefined
    const isGone = failure !== undefined && call.failure === undefined && isServerGone(failure)
    if (isGone && this.#isCurrent(client)) this.#generation++
    giveBack(failure)
    return { outcome, failure }
  }

  async #connect(call: PostgresCall): Promise<PoolClient> {
    for (;;) {
      if (call.failure !== undefined) throw call.failure
      const client = await this.#pool.connect().catch((error: unknown) => {
        throw connectFailure(this.#place, error)
      })
      if (call.failure === undefined && this.#isCurrent(client)) return client
      client.release(!this.#isCurrent(client))
    }
  }

  #isCurrent(client: PoolClient): boolean {
    return this.#generations.get(client) === this.#generation
  }
}

function poolConfig({ address, poolSize, pgbouncer, timeoutMs }: PostgresPoolOptions): PoolConfig {
  return {
    connectionString: address.connectionString,
    ...(address.tls === undefined ? {} : { ssl: address.tls }),
    Client: PostgresClient,
    fallback_application_name: 'sessiongate',
    max: poolSize,
    connectionTimeoutMillis: timeoutMs,
    idleTimeoutMillis: IDLE_MS,
    // A process that wants to end does not stay for unused connections.
    allowExitOnIdle: true,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
    // The server gives up a little before us: then the outcome is known, and the connection stays good. pgbouncer would
    // hand such settings on to strangers, or refuse them.
    ...(pgbouncer ? {} : { lock_timeout: share(timeoutMs, 0.8), statement_timeout: share(timeoutMs, 0.9) }),
  }
}

/** Never 0, which would mean no limit at all. */
function share(timeoutMs: number, part: number): number {
  return Math.max(1, Math.floor(timeoutMs * part))
}

function ignore(): void {}
