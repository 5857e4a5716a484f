import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { type Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { type AppHandler, startApp } from '../support/app.ts'
import { openAuthority } from '../support/certificates.ts'
import { until } from '../support/deadline.ts'
import type { EvilConnection, EvilScript } from '../support/evil-upstream.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { connectRaw, type RawClient, type RawResponse } from '../support/raw-client.ts'

/**
 * How often a fault happens. `usual` keeps `npm run test:faults` short; `npm run test:soak` sets `SESSIONGATE_FAULTS=whole` and
 * does it as often as the promise says.
 */
export function times({ usual, whole }: { readonly usual: number; readonly whole: number }): number {
  return process.env.SESSIONGATE_FAULTS === 'whole' ? whole : usual
}

/** A gateway between clients and upstreams that fail, and an app beside them that does not. */
export interface FaultGate extends AsyncDisposable {
  readonly gateway: TestGateway
  connect(): Promise<RawClient>
  /** One request on a connection of its own; `lines` are header lines. */
  ask(
    path: string,
    request?: { readonly method?: string; readonly lines?: string; readonly body?: string },
  ): Promise<RawResponse>
  /** The process lives, a neighbouring app is served, and nothing was said on stderr. */
  assertServes(): Promise<void>
  /** How many files and sockets the process has open. */
  openFiles(): number
  /** What the process holds in memory, in KiB. */
  residentKib(): number
  /** The same after a collection of garbage, and what of the heap and of buffers is in use; needs `probesMemory`. */
  memory(): Promise<Memory>
  /** Resolves when no request is under way, none of `/` has a connection to its app, and open files are back at the count. */
  untilQuiet(openFiles: number): Promise<void>
  /** The value of one line of the metrics, 0 if there is none. */
  metric(line: string): Promise<number>
}

/** Of a process, in KiB. */
export interface Memory {
  readonly residentKib: number
  readonly usedKib: number
}

const memoryProbe = fileURLToPath(new URL('../support/memory-probe.mjs', import.meta.url))

export interface FaultGateOptions extends Omit<TestGatewayOptions, 'config'> {
  /** The gateway collects garbage when `memory` asks. */
  readonly probesMemory?: boolean
  /** `timeouts` of the upstream at `/`. Default `connect: 1s, first_byte: 600ms, idle: 600ms`. */
  readonly timeouts?: string
  /** Lines of YAML for `routes`, in front of the one for everything else. */
  readonly routes?: string
  /** Further sections of the YAML. */
  readonly sections?: string
  readonly handler?: AppHandler
  /** What leads to the app that does not fail, as YAML. Default `[/well, /well/*]`. */
  readonly wellPaths?: string
}

/** Opens a gateway whose routes lead to `origin`, but for `/well`. */
export async function openGate(origin: string, options: FaultGateOptions = {}): Promise<FaultGate> {
  const {
    timeouts = 'connect: 1s, first_byte: 600ms, idle: 600ms',
    sections = '',
    handler,
    wellPaths = '[/well, /well/*]',
    ...rest
  } = options
  const probing = options.probesMemory ? { NODE_OPTIONS: `--expose-gc --import=${memoryProbe}` } : {}
  await using stack = new AsyncDisposableStack()
  const well = stack.use(await startApp(handler ?? (() => ({ body: 'well' }))))
  const config = `
upstreams:
  app: { servers: ["${origin}"], timeouts: { ${timeouts} }, writeback: { allow: ["*"] } }
  well: { servers: ["${well.origin}"], writeback: { allow: ["*"] } }
routes:
  - { id: well, match: { path: ${wellPaths} }, upstream: well, auth: optional }
${options.routes ?? ''}
  - { id: app, match: { path: /* }, upstream: app, auth: optional }
${sections}`
  const gateway = stack.use(await startGateway({ ...rest, config, env: { ...probing, ...options.env } }))
  const closing = stack.move()
  const metrics = async (): Promise<string> => await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
  const metric = async (line: string): Promise<number> => figureOf(await metrics(), line)
  const openFiles = (): number => readdirSync(`/proc/${gateway.process.pid}/fd`).length
  return {
    gateway,
    metric,
    openFiles,
    connect: () => connectRaw(gateway.port),
    async ask(path, { method = 'GET', lines = '', body = '' } = {}) {
      await using client = await connectRaw(gateway.port)
      await client.send(`${method} ${path} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n${lines}\r\n${body}`)
      return await client.response({ method })
    },
    async assertServes() {
      const answer = await fetch(`${gateway.url}/well`, { headers: { Connection: 'close' } })
      assert.deepEqual([answer.status, await answer.text()], [200, 'well'])
      assert.equal(gateway.process.exitCode, null)
      assert.doesNotMatch(gateway.stderr(), /Unhandled|Uncaught|MaxListeners|Warning/)
    },
    async memory() {
      const number = gateway.log.filter(({ msg }) => msg === 'memory').length + 1
      gateway.process.kill('SIGUSR2')
      const { rss, heapUsed, external } = await gateway.logged(
        'the memory',
        (line) => line.msg === 'memory' && line.number === number,
      )
      return { residentKib: Number(rss) / 1024, usedKib: (Number(heapUsed) + Number(external)) / 1024 }
    },
    residentKib: () =>
      Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${gateway.process.pid}/status`, 'utf8'))?.[1]),
    async untilQuiet(count) {
      await until('open files are back', () => openFiles() <= count, 15_000)
      const giveUpAt = performance.now() + 10_000
      for (;;) {
        const text = await metrics()
        const busy = ['sessiongate_http_requests_in_flight{route="app"}', active].filter(
          (line) => figureOf(text, line) > 0,
        )
        if (busy.length === 0) return
        assert.ok(performance.now() < giveUpAt, `never quiet: ${busy.join(', ')}`)
      }
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

export interface TlsFaultGate extends AsyncDisposable {
  readonly gate: FaultGate
  /** Connects in TLS; `gate.connect` does not. */
  connect(): Promise<RawClient>
}

/** The same with a listener that speaks TLS, and nothing else. */
export async function openTlsGate(
  origin: string,
  options: Pick<FaultGateOptions, 'timeouts'> = {},
): Promise<TlsFaultGate> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-issuing-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const { cert, key } = await (await openAuthority(folder)).issue({ hosts: ['localhost'] })
  const gate = stack.use(
    await openGate(origin, {
      ...options,
      files: { 'main.crt': cert, 'main.key': key },
      sections: 'listen: [{ address: "127.0.0.1:0", tls: { cert: main.crt, key: main.key } }]\n',
    }),
  )
  const closing = stack.move()
  return {
    gate,
    connect: () => connectRaw({ port: gate.gateway.port, tlsServername: 'localhost' }),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

const active = 'sessiongate_upstream_connections{upstream="app",state="active"}'

function figureOf(text: string, line: string): number {
  const start = text.indexOf(`\n${line} `)
  return start === -1 ? 0 : Number.parseFloat(text.slice(start + line.length + 2))
}

/** What an upstream does with a request, by its path; connections are kept until a script ends them. */
export type Behaviour = (connection: EvilConnection, head: string) => Promise<void> | void

/** A script that answers each request by the first segment of its path: `/reset/17` does what `reset` says. */
export function byPath(behaviours: Readonly<Record<string, Behaviour>>): EvilScript {
  return async (connection) => {
    for (;;) {
      const head = await connection.head()
      const [, name = ''] = /^\S+ \/([^/? ]*)/.exec(head) ?? []
      const behave = behaviours[name]
      if (behave === undefined) throw new Error(`no behaviour for ${JSON.stringify(name)}`)
      await behave(connection, head)
    }
  }
}

/** The number at the end of a request's path. */
export function numberOf(head: string): number {
  return Number(/\/(\d+) HTTP/.exec(head)?.[1])
}

/** A whole answer. */
export function answerOf(body: string, lines = ''): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${lines}\r\n${body}`
}

/** The body of the answer to one request on the agent's connections, whatever its status. */
export async function ask(agent: Agent, port: number, path: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  request({ agent, port, path, host: '127.0.0.1' }, (response) => resolve(text(response)))
    .on('error', reject)
    .end()
  return await promise
}

export function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs))
}
