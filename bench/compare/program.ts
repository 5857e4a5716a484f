import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { delimiter, join, resolve } from 'node:path'
import { promisify } from 'node:util'

export const checkout = resolve(import.meta.dirname, '../..')

/** What a start may take on a busy machine. */
const START_DEADLINE_MS = 30_000
/** What an end may take before the program is killed. */
const STOP_DEADLINE_MS = 5000

export interface ProgramOptions {
  /** It runs there, and its output goes there, so that nobody spends time on reading it while the rounds run. */
  readonly folder: string
  /** What the files of its output are called. */
  readonly name: string
  readonly env?: Readonly<Record<string, string>>
}

/** A program that runs until it is disposed of; with all that it has started, also when the benchmark is cut off. */
export interface Program extends AsyncDisposable {
  readonly pid: number
  /** What it wrote on standard output so far. */
  output(): Promise<string>
  /** @throws {Error} with what the program said, if it ends before, or takes too long. */
  untilListening(port: number): Promise<void>
  /** @throws {Error} as above. */
  untilHolds(what: string, holds: () => Promise<boolean>): Promise<void>
  /** Ends it by SIGTERM, and waits until it is gone. */
  stop(): Promise<void>
}

/** Starts a program in a process group of its own, so that its workers go with it. */
export function startProgram(path: string, args: readonly string[], options: ProgramOptions): Program {
  const { folder, name, env } = options
  const log = join(folder, `${name}.log`)
  const errors = `${log}.errors`
  const child = spawn(path, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', openSync(log, 'w'), openSync(errors, 'w')],
    detached: true,
  })
  const kill = (): void => killGroup(child)
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  const { pid } = child
  if (pid === undefined) throw new Error(`${path} does not start`)
  const untilHolds: Program['untilHolds'] = async (what, holds) => {
    const giveUpMs = performance.now() + START_DEADLINE_MS
    while (!(await holds())) {
      const hasEnded = child.exitCode !== null || child.signalCode !== null
      if (hasEnded || performance.now() > giveUpMs) {
        const said = `${await readFile(log, 'utf8')}${await readFile(errors, 'utf8')}`.slice(-2000)
        throw new Error(`${name} ${hasEnded ? 'ended' : `has not got to: ${what}`}: ${said}`)
      }
      await new Promise((done) => setTimeout(done, 20))
    }
  }
  return {
    pid,
    output: () => readFile(log, 'utf8'),
    untilListening: (port) => untilHolds(`listen on port ${port}`, () => isListening(port)),
    untilHolds,
    stop: () => stop(child),
    [Symbol.asyncDispose]: () => stop(child),
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    const killer = setTimeout(() => killGroup(child), STOP_DEADLINE_MS)
    child.kill('SIGTERM')
    await exited
    clearTimeout(killer)
  }
  killGroup(child)
}

/** Whoever is left of the group; usually nobody. */
function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // There is no such group any more.
  }
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** The path of the first of these programs that is on PATH or where distributions keep servers. */
export function findProgram(...names: readonly string[]): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/usr/local/go/bin']
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The first thing that looks like a version in what the program says of itself. */
export async function versionOf(path: string, ...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(path, args)
  return /\d+\.\d+(\.\d+)?/.exec(`${stdout}${stderr}`)?.[0] ?? 'unknown'
}
