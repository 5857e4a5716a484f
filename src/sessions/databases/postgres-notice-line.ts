import { randomUUID } from 'node:crypto'
import { Client, type QueryConfig, type QueryResult, type QueryResultRow } from 'pg'
import { withinDeadline } from '../deadline.ts'
import type { Scheduler } from '../scheduler.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { connectFailure, costsConnection, postgresFailure, sqlState } from './postgres-failure.ts'
import { creation, lookStatement, NOTICE_CHANNEL, type TriggerLook } from './postgres-notice-trigger.ts'
import { PostgresSocket } from './postgres-socket.ts'

export interface NoticeLineOptions {
  readonly address: PostgresAddress
  readonly scheduler: Scheduler
  /** Payloads in the channel, whoever sent them. */
  readonly onNotice: (payload: string) => void
}

/** Why there is no line, in words for the operator, without secrets. */
export class NoticeLineFailure extends Error {
  /** The server answers, and somebody has to do something about it: no use in asking again at once. */
  readonly isLasting: boolean

  constructor(reason: string, isLasting = false) {
    super(reason)
    this.isLasting = isLasting
  }
}

const CONNECT_TIMEOUT_MS = 3000
/** For each step before the line stands; making the triggers may wait a second for the table. */
const STEP_TIMEOUT_MS = 5000
const PROOF_TIMEOUT_MS = 2000
const GOODBYE_MS = 500
const KEEP_ALIVE_AFTER_MS = 30_000

/**
 * After this the server gives up a gateway that reads nothing more. Unread notices keep its queue from being emptied, and
 * when that is full, every write that tells of something fails.
 */
const UNREAD_TIMEOUT_MS = 30_000

/** An older server ends an answer before it hands over what it has to tell. */
const LEAST_VERSION = 130_000

const BY_HAND = 'run the SQL that "sessiongate check" prints, as the owner of the table'

/** One connection that listens, from connecting to its end. Its methods fail with {@link NoticeLineFailure}. */
export class NoticeLine {
  readonly #options: NoticeLineOptions
  readonly #socket = new PostgresSocket()
  readonly #client: Client
  readonly #ended = Promise.withResolvers<NoticeLineFailure>()
  /** The number of the server's process, by its own introduction, and as an answer told it first. */
  #introducedAs: unknown
  #backend: number | undefined

  constructor(options: NoticeLineOptions) {
    const { address, onNotice } = options
    this.#options = options
    this.#client = new Client({
      connectionString: address.connectionString,
      ...(address.tls === undefined ? {} : { ssl: address.tls }),
      fallback_application_name: 'sessiongate-notices',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
      stream: () => this.#socket,
    })
    this.#client.on('notification', ({ channel, payload }) => {
      if (channel === NOTICE_CHANNEL) onNotice(payload ?? '')
    })
    this.#client.on('error', (error) => this.#ended.resolve(this.#failureOf(error)))
    this.#client.on('end', () => this.#ended.resolve(this.#failureOf(undefined)))
    this.#client.connection.once('backendKeyData', ({ processID }: { readonly processID: unknown }) => {
      this.#introducedAs = processID
    })
  }

  /** Resolves when the connection is lost; never while all is well. */
  get ended(): Promise<NoticeLineFailure> {
    return this.#ended.promise
  }

  /** Connects and listens, and with `create` makes the triggers where they are missing. What comes of it, `look` tells. */
  async open({ create }: { readonly create: boolean }): Promise<void> {
    await this.#connect()
    await this.#listen()
    const look = await this.#look(STEP_TIMEOUT_MS)
    this.#backend = look.backend
    const canTell = look.version >= LEAST_VERSION && !look.isStandby && look.tables > 0 && look.areTables
    if (create && canTell && !look.isTold) await this.#create()
    if (this.#introducedAs !== look.backend) await this.#proveThroughPooler()
  }

  /**
   * Asks whether notices come. The server hands over all that it has to tell before it ends an answer: when this resolves,
   * every change has been told that was answered before this was called.
   *
   * @returns `TriggerLook.print`: another one than before, and changes may have gone untold in between.
   */
  async look(timeoutMs: number): Promise<string> {
    const look = await this.#look(timeoutMs)
    if (look.version < LEAST_VERSION) throw this.#flaw('is older than version 13', true)
    if (look.isStandby) throw this.#flaw(STANDBY)
    if (look.backend !== this.#backend || !look.isListening) throw this.#flaw(TRANSACTION_MODE, true)
    if (look.tables === 0) throw this.#flaw('has no table django_session yet')
    if (!look.areTables) throw this.#flaw('has a django_session that is no table of its own', true)
    if (!look.isTold) throw this.#flaw(`${NO_TRIGGER}: set database.notify: create, or ${BY_HAND}`, true)
    return look.print
  }

  /** Ends the connection: politely, or at once if it is not let go. */
  async close(): Promise<void> {
    const callOff = this.#options.scheduler.after(GOODBYE_MS, () => this.#socket.destroy())
    await this.#client.end().catch(() => {})
    callOff()
    this.#socket.destroy() // one that was never made has nothing to end
  }

  async #connect(): Promise<void> {
    const connecting = this.#client.connect().catch((error: unknown) => {
      throw new NoticeLineFailure(connectFailure(this.#options.address.place, error).message)
    })
    // The driver forgets an attempt under way when it is closed.
    await Promise.race([connecting, this.#ended.promise.then((failure) => Promise.reject(failure))])
  }

  async #listen(): Promise<void> {
    try {
      await this.#run(`SET tcp_user_timeout = ${UNREAD_TIMEOUT_MS}; LISTEN ${NOTICE_CHANNEL}`)
    } catch (error) {
      throw sqlState(error) === '25006' ? this.#flaw(STANDBY) : this.#failureOf(error)
    }
  }

  async #look(timeoutMs: number): Promise<TriggerLook> {
    try {
      const { rows } = await this.#run<TriggerLook>(lookStatement, timeoutMs)
      if (rows[0] !== undefined) return rows[0]
    } catch (error) {
      throw this.#failureOf(error)
    }
    throw this.#flaw('does not tell how its tables are')
  }

  async #create(): Promise<void> {
    try {
      await this.#run(creation.begin)
      if (!(await this.#look(STEP_TIMEOUT_MS)).isTold) {
        await this.#run(creation.probe)
        const { rows } = await this.#run<{ readonly schema: string }>(creation.schema)
        await this.#run(creation.statements(rows[0]?.schema))
      }
      await this.#run('COMMIT')
    } catch (error) {
      const state = sqlState(error)
      if (state === '42703' || state === '42883') throw this.#flaw(OTHER_COLUMNS, true)
      if (state !== '42501') throw this.#failureOf(error)
      throw this.#flaw(`${NO_TRIGGER}, and does not let this user make it: ${BY_HAND}`, true)
    }
  }

  /**
   * Somebody else answers for the server. If it is a pooler that lends a connection for a transaction only, then what the
   * server tells in between is lost. So one notice is sent over another connection, and waited for.
   */
  async #proveThroughPooler(): Promise<void> {
    const payload = `probe ${randomUUID()}`
    const { promise: heard, resolve } = Promise.withResolvers<void>()
    this.#client.on('notification', (notice) => {
      if (notice.payload === payload) resolve()
    })
    const other = new NoticeLine({ ...this.#options, onNotice: () => {} })
    try {
      await other.#connect()
      await other.#run({ text: 'SELECT pg_notify($1, $2)', values: [NOTICE_CHANNEL, payload] })
      await this.#within(heard, PROOF_TIMEOUT_MS)
    } catch {
      throw this.#flaw(TRANSACTION_MODE, true)
    } finally {
      await other.close()
    }
  }

  #run<R extends QueryResultRow>(
    query: string | Readonly<QueryConfig>,
    timeoutMs: number = STEP_TIMEOUT_MS,
  ): Promise<QueryResult<R>> {
    return this.#within(this.#client.query<R>(query), timeoutMs)
  }

  #within<T>(running: Promise<T>, timeoutMs: number): Promise<T> {
    const onExpire = () => this.#flaw(`did not answer within ${timeoutMs} ms`)
    return withinDeadline(running, { timeoutMs, scheduler: this.#options.scheduler, onExpire })
  }

  #flaw(what: string, isLasting = false): NoticeLineFailure {
    return new NoticeLineFailure(`PostgreSQL at ${this.#options.address.place} ${what}`, isLasting)
  }

  #failureOf(error: unknown): NoticeLineFailure {
    if (error instanceof NoticeLineFailure) return error
    if (sqlState(error) === undefined) return this.#flaw('closed the connection for notices, or it was lost')
    return new NoticeLineFailure(postgresFailure(this.#options.address.place, error).message, !costsConnection(error))
  }
}

const NO_TRIGGER = 'has no trigger that tells of changes to sessions'
const OTHER_COLUMNS = 'has a table django_session with other columns than those of Django'
const STANDBY = 'is a standby, which tells of no changes'
const TRANSACTION_MODE = 'is behind a pooler that loses notices: only one in session mode will do'
