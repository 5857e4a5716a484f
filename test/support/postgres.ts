/**
 * A real PostgreSQL for tests: its own data folder, its own ports, nothing of the machine's touched. Start one per test
 * file, and take a database of its own for each test (20 ms):
 *
 * ```ts
 * const postgres = requireServer('postgres')
 * describe('…', { skip: postgres.skip }, () => {
 *   let server: PostgresServer
 *   before(async () => { server = await startPostgres() })
 *   after(() => server[Symbol.asyncDispose]())
 *   test('…', async () => {
 *     const database = await server.createDatabase()
 *     open({ url: database.url })               // postgres://postgres@127.0.0.1:…/test_1, any password will do
 *     open({ url: database.socketUrl })         // the same over the Unix socket
 *     await database.sql('SELECT …')            // rows, as the superuser
 *     await server.restart('immediate')         // as a crash; 'fast' as `systemctl restart`
 *     await server.pause(); await server.resume()   // SIGSTOP and SIGCONT to all of its processes
 *   })
 * })
 * ```
 *
 * Without fsync, unless asked for. PostgreSQL refuses to run as root: then it runs as `postgres`, else as `nobody`.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, readFileSync } from 'node:fs'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { DEADLINE_MS, until, within } from './deadline.ts'
import { requireServer } from './requirement.ts'

/** What a start may take on a busy machine, recovery after a crash included. */
const START_DEADLINE_MS = 60_000

export type PostgresRow = Readonly<Record<string, unknown>>

export interface PostgresServerOptions {
  /** True: what was acknowledged survives a crash of the machine, as by default outside of tests. Default false. */
  readonly fsync?: boolean
  /** Further lines of `postgresql.conf`: `{ max_connections: '5' }`. */
  readonly settings?: Readonly<Record<string, string>>
  /** PEM. The server then takes TLS connections and plain ones, and looks at a client's certificate if it is sent one. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string }
}

export interface PostgresDatabase {
  readonly name: string
  /** Over TCP, as the superuser; the server trusts whoever comes. */
  readonly url: string
  readonly socketUrl: string
  /** Runs one or several statements on a connection of its own; gives the rows of the last one. */
  sql(text: string, values?: readonly unknown[]): Promise<readonly PostgresRow[]>
  /** A connection that stays open, for locks and transactions: `await using`. */
  connect(): Promise<PostgresConnection>
  /** Resolves when somebody waits for a row or the table that another one has locked. */
  lockAwaited(): Promise<void>
}

export interface PostgresConnection extends AsyncDisposable {
  sql(text: string, values?: readonly unknown[]): Promise<readonly PostgresRow[]>
}

export interface PostgresServer extends AsyncDisposable {
  readonly port: number
  /** The folder of the data and of the Unix socket. */
  readonly folder: string
  /** What the server logged so far. */
  readonly log: string
  createDatabase(): Promise<PostgresDatabase>
  /** In the database `postgres`. */
  sql(text: string, values?: readonly unknown[]): Promise<readonly PostgresRow[]>
  /** `smart` waits for the clients, `fast` throws them out, `immediate` is a crash with recovery at the next start. */
  stop(mode?: StopMode): Promise<void>
  start(): Promise<void>
  restart(mode?: StopMode): Promise<void>
  /** SIGSTOP to the server and all of its backends: connections stay open, nobody answers. */
  pause(): Promise<void>
  resume(): Promise<void>
}

export type StopMode = 'smart' | 'fast' | 'immediate'

const stopSignals: Readonly<Record<StopMode, NodeJS.Signals>> = {
  smart: 'SIGTERM',
  fast: 'SIGINT',
  immediate: 'SIGQUIT',
}

/** @throws {Error} when it is not installed (skip by `requireServer('postgres')` before), or does not start. */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const { path: program, skip } = requireServer('postgres')
  if (skip !== false) throw new Error(skip)
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-postgres-'))
  const owner = findOwner()
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid)
  const server = new TestPostgres({ program, folder, owner, port: await findFreePort() })
  try {
    await server.initialize(options)
    await server.start()
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return server
}

/** Somebody who is not root, for servers that refuse to run as root; undefined when this process is not root anyway. */
export function findOwner(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const accounts = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = accounts.find((line) => line.startsWith(`${name}:`))?.split(':') ?? []
    if (uid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new Error('there is no account "postgres" or "nobody" to run a server as')
}

/** A port on 127.0.0.1 that was free a moment ago. */
export async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

interface Place {
  readonly program: string
  readonly folder: string
  readonly port: number
  readonly owner: { readonly uid: number; readonly gid: number } | undefined
}

class TestPostgres implements PostgresServer {
  readonly folder: string
  readonly port: number
  readonly #place: Place
  #process: ChildProcess | undefined
  #paused: readonly number[] = []
  #databases = 0
  #log = ''

  constructor(place: Place) {
    this.#place = place
    this.folder = place.folder
    this.port = place.port
  }

  async initialize({ fsync = false, settings = {}, tls }: PostgresServerOptions): Promise<void> {
    const initdb = join(dirname(this.#place.program), 'initdb')
    const args = ['-D', this.#data, '-N', '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--no-locale']
    await promisify(execFile)(initdb, args, { cwd: this.folder, ...this.#place.owner })
    const durable = fsync ? 'on' : 'off'
    const lines = Object.entries({
      listen_addresses: '127.0.0.1',
      port: String(this.port),
      unix_socket_directories: this.folder,
      fsync: durable,
      full_page_writes: durable,
      shared_buffers: '32MB',
      ssl: tls === undefined ? 'off' : 'on',
      ssl_ca_file: tls?.clientCa === undefined ? '' : 'ca.crt',
      ...settings,
    }).map(([name, value]) => `${name} = '${value}'\n`)
    await appendFile(join(this.#data, 'postgresql.conf'), lines.join(''))
    if (tls !== undefined) {
      await this.#writeOwned('server.crt', tls.cert)
      await this.#writeOwned('server.key', tls.key)
      if (tls.clientCa !== undefined) await this.#writeOwned('ca.crt', tls.clientCa)
    }
  }

  async start(): Promise<void> {
    const { program, owner } = this.#place
    const child = spawn(program, ['-D', this.#data], {
      ...owner,
      cwd: this.folder,
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process = child
    // A test that throws on its way out leaves nothing running.
    const killAtExit = () => child.kill('SIGQUIT')
    process.once('exit', killAtExit)
    child.once('exit', () => process.off('exit', killAtExit))
    const saidBefore = this.#log.length
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text
    })
    const isOver = () => child.exitCode !== null || child.signalCode !== null
    const isReady = () => this.#log.includes('ready to accept connections', saidBefore)
    await until('PostgreSQL is ready', () => isOver() || isReady(), START_DEADLINE_MS)
    if (isOver()) throw new Error(`PostgreSQL did not start: ${this.#log.slice(saidBefore)}`)
  }

  async stop(mode: StopMode = 'fast'): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(stopSignals[mode])
    await within(`PostgreSQL to stop (${mode})`, exit, START_DEADLINE_MS)
  }

  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.stop(mode)
    await this.start()
  }

  async pause(): Promise<void> {
    const main = this.#process?.pid
    if (main === undefined) throw new Error('PostgreSQL is not running')
    // The postmaster first, so that it starts no backend that would be overlooked.
    process.kill(main, 'SIGSTOP')
    const backends = childrenOf(main)
    this.#paused = [...backends, main]
    for (const pid of backends) process.kill(pid, 'SIGSTOP')
  }

  async resume(): Promise<void> {
    // The postmaster last: as soon as it runs, it removes backends that ended meanwhile, and their ids are nobody's.
    for (const pid of this.#paused) process.kill(pid, 'SIGCONT')
    this.#paused = []
  }

  async createDatabase(): Promise<PostgresDatabase> {
    this.#databases++
    const name = `test_${this.#databases}`
    await this.sql(`CREATE DATABASE ${name} TEMPLATE template0`)
    return {
      name,
      url: `postgres://postgres@127.0.0.1:${this.port}/${name}`,
      socketUrl: `postgres://postgres@/${name}?host=${encodeURIComponent(this.folder)}&port=${this.port}`,
      sql: (text, values) => this.#runSql(name, text, values),
      connect: () => this.#connect(name),
      lockAwaited: () => this.#lockAwaited(name),
    }
  }

  sql(text: string, values?: readonly unknown[]): Promise<readonly PostgresRow[]> {
    return this.#runSql('postgres', text, values)
  }

  get log(): string {
    return this.#log
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resume()
    await this.stop('immediate')
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  get #data(): string {
    return join(this.folder, 'data')
  }

  async #connect(database: string): Promise<PostgresConnection> {
    const client = new Client({ host: this.folder, port: this.port, user: 'postgres', database })
    client.on('error', () => {}) // the server may be stopped meanwhile; the next statement tells
    await client.connect()
    return {
      async sql(text, values) {
        const results: unknown = await client.query(text, values === undefined ? undefined : [...values])
        return readRows(Array.isArray(results) ? results.at(-1) : results)
      },
      [Symbol.asyncDispose]: () => client.end(),
    }
  }

  async #lockAwaited(database: string): Promise<void> {
    await using connection = await this.#connect(database)
    const waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    const giveUpAt = performance.now() + DEADLINE_MS
    while ((await connection.sql(waiting)).length === 0) {
      if (performance.now() > giveUpAt) throw new Error(`waited ${DEADLINE_MS} ms for somebody to wait for a lock`)
    }
  }

  async #runSql(database: string, text: string, values?: readonly unknown[]): Promise<readonly PostgresRow[]> {
    await using connection = await this.#connect(database)
    return await connection.sql(text, values)
  }

  async #writeOwned(name: string, content: string): Promise<void> {
    const path = join(this.#data, name)
    await writeFile(path, content, { mode: 0o600 })
    const { owner } = this.#place
    if (owner !== undefined) chownSync(path, owner.uid, owner.gid)
  }
}

function readRows(result: unknown): readonly PostgresRow[] {
  if (typeof result !== 'object' || result === null || !('rows' in result) || !Array.isArray(result.rows)) return []
  return result.rows
}

function childrenOf(parent: number): readonly number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([pid, ppid]) => (pid !== undefined && ppid === parent ? [pid] : []))
}
