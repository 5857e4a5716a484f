/**
 * A real pgbouncer, in transaction mode unless asked otherwise, in front of a {@link PostgresServer}: each transaction may meet another
 * connection, so whatever is left behind in one goes astray. It refuses to run as root, like PostgreSQL.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until, within } from './deadline.ts'
import { findFreePort, findOwner, type PostgresServer } from './postgres.ts'
import { requireServer } from './requirement.ts'

export interface PgbouncerOptions {
  /** Connections to the server per database; default 4, so that clients do meet each other's. */
  readonly poolSize?: number
  /** Default `transaction`. */
  readonly poolMode?: 'transaction' | 'session'
}

export interface Pgbouncer extends AsyncDisposable {
  readonly port: number
  /** The URL of a database of the server, by this way. */
  urlOf(database: { readonly name: string }): string
}

/** @throws {Error} when it is not installed (skip by `requireServer('pgbouncer')` before), or does not start. */
export async function startPgbouncer(
  server: PostgresServer,
  { poolSize = 4, poolMode = 'transaction' }: PgbouncerOptions = {},
): Promise<Pgbouncer> {
  const { path: program, skip } = requireServer('pgbouncer')
  if (skip !== false) throw new Error(skip)
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-pgbouncer-'))
  const port = await findFreePort()
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'trust',
    auth_file: join(folder, 'users'),
    pool_mode: poolMode,
    default_pool_size: poolSize,
    max_client_conn: 1000,
    server_idle_timeout: 2, // a test's database is not needed again
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`)
  const databases = `[databases]\n* = host=127.0.0.1 port=${server.port}\n\n[pgbouncer]\n`
  await writeFile(join(folder, 'pgbouncer.ini'), databases + lines.join(''))
  await writeFile(join(folder, 'users'), '"postgres" ""\n')
  const owner = findOwner()
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid)
  const child = spawn(program, [join(folder, 'pgbouncer.ini')], { ...owner, stdio: ['ignore', 'ignore', 'pipe'] })
  const stop = () => stopProcess(child)
  try {
    await waitUntilReady(child)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    port,
    urlOf: ({ name }) => `postgres://postgres@127.0.0.1:${port}/${name}`,
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function waitUntilReady(child: ChildProcess): Promise<void> {
  let log = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  await until('pgbouncer is ready', () => hasEnded(child) || log.includes('process up'))
  if (hasEnded(child)) throw new Error(`pgbouncer did not start: ${log}`)
  child.stderr?.removeAllListeners('data').resume()
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return
  const exit = once(child, 'exit')
  child.kill('SIGTERM') // at once, whoever is connected
  await within('pgbouncer to stop', exit)
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
