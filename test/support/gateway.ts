import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { plainEnvironment } from './command.ts'
import { within } from './deadline.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** What a start may take where its code is not compiled yet and the machine has other things to do. */
const START_DEADLINE_MS = 30_000

/** One line of the gateway's log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string }

/** A gateway as an operator runs it: its own process, its own folder, its own ports. */
export interface TestGateway extends AsyncDisposable {
  /** `http://127.0.0.1:port`, without a final slash. */
  readonly url: string
  readonly port: number
  /** The operator's listener; '' with `admin: off`. */
  readonly operatorUrl: string
  /** The working directory: the configuration, `./var`, and what the test put there. */
  readonly folder: string
  readonly process: ChildProcess
  /** Everything logged so far, parsed. A line that is no JSON object fails the test that stops the gateway. */
  readonly log: readonly LogLine[]
  /** What came on stderr so far. */
  stderr(): string
  /** The first line, past or future, for which it holds. */
  logged(what: string, holds: (line: LogLine) => boolean): Promise<LogLine>
  /** SIGTERM, and the exit code, when the last line of the log has been read. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

export interface TestGatewayOptions {
  /** The YAML. `listen` and `admin` are added where it names none: free ports on 127.0.0.1. */
  readonly config: string
  /** The folder has its `sessiongate.yaml` already, with free ports; `config` is not looked at. Default false. */
  readonly hasConfig?: boolean
  /** Files to be put into the folder, by name. */
  readonly files?: Readonly<Record<string, string>>
  /** A folder to run in, kept afterwards; default a new one, removed afterwards. */
  readonly folder?: string
  readonly env?: Readonly<Record<string, string>>
  /** How many files and sockets it may have open; default as many as the test. */
  readonly maxOpenFiles?: number
  /** Takes the lines about requests, which then are not kept in `log`: a test may make more of them than fit in memory. */
  readonly onRequestLine?: (line: LogLine) => void
}

/** Starts a gateway and waits until it listens. */
export async function startGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'sessiongate-')))
  for (const [name, text] of Object.entries(options.files ?? {}))
    await writeFile(join(folder, name), text, { mode: 0o600 })
  // Two in one folder have a file each: a gateway takes what its own says when it changes.
  const isTaken =
    options.hasConfig !== true && options.folder !== undefined && existsSync(join(folder, 'sessiongate.yaml'))
  const file = join(folder, isTaken ? `sessiongate-${randomUUID()}.yaml` : 'sessiongate.yaml')
  if (options.hasConfig !== true) await writeFile(file, withListeners(options.config))
  const [program, ...args] = limited([process.execPath, main, 'serve', '--config', file], options.maxOpenFiles)
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...plainEnvironment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = collect(child, options.onRequestLine)
  const exited = once(child, 'exit')
  // `close` comes when the pipes are read to their end too: at `exit` the last lines may still be in them.
  const closed = once(child, 'close')
  const isAddress = (line: LogLine): boolean => line.msg === 'listening'
  const started = await Promise.race([
    output.logged('the gateway to listen', isAddress, START_DEADLINE_MS),
    exited.then(([code]) => Promise.reject(new Error(`the gateway ended with ${code}: ${output.stderr()}`))),
  ]).catch((error: unknown) => {
    // Its pipes would keep the test's process from ending.
    child.kill('SIGKILL')
    throw error
  })
  const operator = options.config.includes('admin: off')
    ? undefined
    : await output.logged('the operator listener', (line) => line.msg === 'operator listening')
  const address = String(started.address)
  return {
    url: `http://${address}`,
    port: Number(address.slice(address.lastIndexOf(':') + 1)),
    operatorUrl: operator === undefined ? '' : `http://${operator.address}`,
    folder,
    process: child,
    log: output.lines,
    stderr: output.stderr,
    logged: output.logged,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      const [code] = await within('the gateway to end', closed, 30_000)
      return code as number | null
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        output.expectHalfLine()
        child.kill('SIGKILL')
        await exited
      }
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A shell that lowers its own limit and becomes the program. */
function limited(command: [string, ...string[]], maxOpenFiles: number | undefined): [string, ...string[]] {
  if (maxOpenFiles === undefined) return command
  return ['/bin/sh', '-c', `ulimit -n ${maxOpenFiles} && exec "$0" "$@"`, ...command]
}

function withListeners(config: string): string {
  const has = (key: string): boolean => new RegExp(`^${key}:`, 'm').test(config)
  const version = has('version') ? '' : 'version: 1\n'
  const listen = has('listen') ? '' : 'listen: [{ address: "127.0.0.1:0" }]\n'
  const admin = has('admin') ? '' : 'admin: { listen: "127.0.0.1:0" }\n'
  return `${version}${listen}${admin}${config}`
}

interface Output extends Pick<TestGateway, 'stderr'> {
  readonly lines: LogLine[]
  logged(what: string, holds: (line: LogLine) => boolean, deadlineMs?: number): Promise<LogLine>
  /** The process is killed: of the line that it was writing, half may be there. */
  expectHalfLine(): void
}

function collect(child: ChildProcess, onRequestLine?: (line: LogLine) => void): Output {
  const lines: LogLine[] = []
  const arrivals = new EventEmitter().setMaxListeners(0)
  let errors = ''
  let isKilled = false
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (text) => {
      if (isKilled && !text.endsWith('}')) return
      const line = parseLine(text)
      if (onRequestLine !== undefined && line.msg === 'request') {
        onRequestLine(line)
        return
      }
      lines.push(line)
      arrivals.emit('line', line)
    })
  }
  return {
    lines,
    expectHalfLine() {
      isKilled = true
    },
    stderr: () => errors,
    logged(what, holds, deadlineMs) {
      const known = lines.find(holds)
      if (known !== undefined) return Promise.resolve(known)
      const { promise, resolve } = Promise.withResolvers<LogLine>()
      const listener = (line: LogLine): void => {
        if (holds(line)) resolve(line)
      }
      arrivals.on('line', listener)
      return within(what, promise, deadlineMs).finally(() => arrivals.off('line', listener))
    },
  }
}

function parseLine(text: string): LogLine {
  const line: unknown = JSON.parse(text)
  if (typeof line !== 'object' || line === null || !('msg' in line) || typeof line.msg !== 'string') {
    throw new TypeError(`not a log line: ${text}`)
  }
  return line as LogLine
}
