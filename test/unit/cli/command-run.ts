import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { CliContext } from '../../../src/cli/context.ts'
import { createProgram, runProgram } from '../../../src/cli/program.ts'

/** What opens the gateways of these tests. */
export const TOKEN = 'a-token-of-these-tests-0123456789'

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  /** Of the terminal that stdout is; default it is none. */
  readonly columns?: number
  /** Whether stderr is one. Default false. */
  readonly isTerminal?: boolean
  readonly context?: Partial<CliContext>
}

export interface Running {
  readonly ended: Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>
  readonly stdout: () => string
  readonly stderr: () => string
  /** Presses Ctrl-C. */
  interrupt(): void
}

const unused = () => assert.fail('no part of it')

/** A world in which nothing can be done. */
const nowhere: CliContext = {
  env: {},
  print: unused,
  tell: unused,
  readStdin: unused,
  isTerminal: false,
  onInterrupt: unused,
  pause: unused,
  version: '0',
  openGateway: unused,
  openFleet: unused,
  openSessionTools: unused,
  decode: unused,
  readGeneratedSigningKey: unused,
  explain: unused,
  storeExaminations: unused,
}

/** All commands, none of which is run. */
export function programTree(): Command {
  return createProgram(nowhere)
}

/** Starts a command line in this process. */
export function startCommand(args: readonly string[], options: RunOptions = {}): Running {
  const [printed, told]: [string[], string[]] = [[], []]
  const listeners = new Set<() => void>()
  const { env = {}, stdin = '', columns, isTerminal = false } = options
  const context: CliContext = {
    ...nowhere,
    env,
    print: (text) => void printed.push(text),
    tell: (text) => void told.push(text),
    readStdin: async () => stdin,
    isTerminal,
    outputColumns: columns,
    onInterrupt(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    ...options.context,
  }
  const code = runProgram(args, context)
  return {
    ended: code.then((code) => ({ code, stdout: printed.join(''), stderr: told.join('') })),
    stdout: () => printed.join(''),
    stderr: () => told.join(''),
    interrupt() {
      for (const listener of [...listeners]) listener()
    },
  }
}

export function runCommandLine(args: readonly string[], options: RunOptions = {}): Running['ended'] {
  return startCommand(args, options).ended
}

/** What a test's gateway answers: a value for each address, or something of its own. */
export type FakeAnswers = Readonly<Record<string, unknown>>

export interface FakeGateway extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** `GET /api/overview`, with the body where there is one, in the order in which they came. */
  readonly asked: string[]
  /** Runs a command line that asks it. */
  run(args: readonly string[], options?: RunOptions): Running['ended']
  start(args: readonly string[], options?: RunOptions): Running
}

/** A gateway that answers these, and 404 otherwise, as ours does where it does not know an address. */
export function openFakeGateway(answers: FakeAnswers): Promise<FakeGateway> {
  return openFakeServer((asked) => async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const line = `${request.method} ${request.url}`
    asked.push(`${line} ${Buffer.concat(chunks)}`.trim())
    const send = (status: number, body: unknown): void => {
      const type = status === 200 ? 'application/json' : 'application/problem+json'
      response.writeHead(status, { 'content-type': type, ...(status === 401 && { 'www-authenticate': 'Bearer' }) })
      response.end(`${JSON.stringify(body)}\n`)
    }
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return send(401, { status: 401, detail: 'no' })
    if (line === 'GET /api/openapi.json') {
      const paths = Object.fromEntries(Object.keys(answers).map((key) => [key.split(/[ ?]/)[1], {}]))
      return send(200, { info: { version: '0.0.9' }, paths })
    }
    const answer = answers[line]
    return answer === undefined ? send(404, { status: 404, detail: 'there is no such thing' }) : send(200, answer)
  })
}

/** A server of any kind, which notes what it is asked. */
export async function openFakeServer(listenerOf: (asked: string[]) => RequestListener): Promise<FakeGateway> {
  const asked: string[] = []
  const server = createServer(listenerOf(asked))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const start = (args: readonly string[], options: RunOptions = {}): Running =>
    startCommand([...args, '--url', url], { ...options, env: { SESSIONGATE_ADMIN_TOKEN: TOKEN, ...options.env } })
  return {
    url,
    port,
    asked,
    start,
    run: (args, options) => start(args, options).ended,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** A folder with one configuration in it, whose `admin` is this. */
export async function openConfig(admin: string): Promise<{ readonly path: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-operator-'))
  const path = join(folder, 'any.yaml')
  const routes = 'routes: [{ id: app, match: { path: /* }, upstream: app }]'
  await writeFile(
    path,
    `version: 1\nadmin: ${admin}\nupstreams: { app: { servers: ["http://127.0.0.1:9"] } }\n${routes}\n`,
  )
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}
