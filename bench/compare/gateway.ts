import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findFreePort } from '../../test/support/postgres.ts'
import { SECRET_KEY } from '../engines/stores.ts'
import { cookieOf } from './peer.ts'
import { checkout, startProgram } from './program.ts'

export interface GatewayOptions {
  readonly folder: string
  readonly name: string
  readonly appOrigin: string
  /** Lines under `session`, the engine among them. */
  readonly session: readonly string[]
  /** Whole sections: `caches`, `database`, `workers`, `logging`. */
  readonly sections: string
  /** Members of the listener beside its address. */
  readonly listen?: string
  /** Entries of `routes`, before the one that takes everything. */
  readonly routes?: readonly string[]
  /** Of Node itself. */
  readonly nodeArgs?: readonly string[]
}

export interface Gateway extends AsyncDisposable {
  readonly origin: string
  /** Of the process that was started; its workers are below it. */
  readonly pid: number
  /** By its own word, at `/metrics`. */
  cpuSeconds(): Promise<number>
  /** All that it says there. */
  metrics(): Promise<string>
  /** A new session, with whatever these paths of the app add to it; gives its `Cookie`. */
  logIn(...paths: readonly string[]): Promise<string>
  /** SIGTERM, and wait. */
  stop(): Promise<void>
}

/** What a request is asked to be, and what the app is told. */
const gate = 'upstream: app, auth: required, headers: { session: { X-User-Name: userInfo.name } }'

/** A route that takes all below a path, as the last one takes everything. */
export function routeFor(id: string, path: string): string {
  return `{ id: ${id}, match: { path: "${path}" }, ${gate} }`
}

interface Ports {
  readonly port: number
  readonly operatorPort: number
}

/** As it would run: a rule, an assertion and a plain header, metrics, and the access log into a file. */
function configOf(options: GatewayOptions, { port, operatorPort }: Ports): string {
  const { appOrigin, session, sections, listen = '', routes = [] } = options
  return `
version: 1
listen: [{ address: "127.0.0.1:${port}"${listen} }]
hosts: [127.0.0.1]
session:
  user_id: userInfo.id
  secret_key: ${SECRET_KEY}
  ${session.join('\n  ')}
${sections}
keys: [{ id: bench, secret: "0123456789abcdef0123456789abcdef" }]
upstreams: { app: { servers: ["${appOrigin}"], writeback: { allow: ["*"] } } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: fill, match: { path: "/fill/*" }, upstream: app, auth: public, include: [userInfo] }
  - { id: open, match: { path: "/open/*" }, upstream: app, auth: optional }
  - { id: large, match: { path: "/large/*" }, ${gate}, include: [userInfo] }
${routes.map((route) => `  - ${route}\n`).join('')}  - ${routeFor('app', '/*')}
admin: { listen: "127.0.0.1:${operatorPort}" }
`
}

/**
 * What `sessiongate check` says against such a configuration, in one line; undefined if it is accepted. For what comes
 * with a later version.
 */
export async function findFlaw(options: GatewayOptions): Promise<string | undefined> {
  const file = join(options.folder, `${options.name}-check.yaml`)
  await writeFile(file, configOf(options, { port: 8080, operatorPort: 9901 }), { mode: 0o600 })
  try {
    await promisify(execFile)(process.execPath, [join(checkout, 'src/main.ts'), 'check', '--config', file])
    return undefined
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? `${error.stderr}` : `${error}`
    return /error: (.+)/.exec(said)?.[1] ?? `check says: ${said.split('\n', 1)[0]}`
  }
}

/** `serve` in a process of its own; resolves when it listens. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { folder, name, nodeArgs = [] } = options
  const ports = { port: await findFreePort(), operatorPort: await findFreePort() }
  const file = join(folder, `${name}.yaml`)
  await writeFile(file, configOf(options, ports), { mode: 0o600 })
  const args = [...nodeArgs, '--disable-warning=ExperimentalWarning', join(checkout, 'src/main.ts'), 'serve']
  const program = startProgram(process.execPath, [...args, '--config', file], { folder, name })
  await program.untilListening(ports.port)
  const operatorOrigin = `http://127.0.0.1:${ports.operatorPort}`
  const isReady = (): Promise<boolean> =>
    fetch(`${operatorOrigin}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
  await program.untilHolds('be ready', isReady)
  const origin = `${listensTls(options) ? 'https' : 'http'}://127.0.0.1:${ports.port}`
  return {
    origin,
    pid: program.pid,
    cpuSeconds: async () => readCpuSeconds(await readMetrics(operatorOrigin)),
    metrics: () => readMetrics(operatorOrigin),
    logIn: (...paths) => logIn(origin, paths),
    stop: () => program.stop(),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}

function listensTls({ listen = '' }: GatewayOptions): boolean {
  return listen.includes('tls:')
}

async function readMetrics(operatorOrigin: string): Promise<string> {
  return await (await fetch(`${operatorOrigin}/metrics`)).text()
}

function readCpuSeconds(metrics: string): number {
  const value = /^process_cpu_seconds_total (\S+)$/m.exec(metrics)?.[1]
  if (value === undefined) throw new Error('the gateway does not tell its CPU time')
  return Number(value)
}

async function logIn(origin: string, paths: readonly string[]): Promise<string> {
  let cookie = cookieOf(await fetch(`${origin}/login`, { method: 'POST' }))
  for (const path of paths) cookie = cookieOf(await fetch(`${origin}${path}`, { headers: { cookie } }))
  return cookie
}
