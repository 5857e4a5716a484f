import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { within } from './deadline.ts'

/** What a start may take on a busy machine, in milliseconds. */
const START_DEADLINE_MS = 30_000

/** A program that serves until it is disposed of. */
export interface ServerProgram extends AsyncDisposable {
  readonly process: ChildProcess
  /** What it said on both outputs, its end. */
  said(): string
}

export interface ServerProgramOptions {
  readonly cwd: string
  readonly env?: NodeJS.ProcessEnv
  /** Where it listens when it is ready: a port of 127.0.0.1, or the path of a Unix socket. */
  readonly listensOn: readonly (number | string)[]
}

/**
 * Starts a program in the foreground and waits until it listens. Disposing ends it by SIGTERM, and its children with it.
 *
 * @throws {Error} with what the program said, if it ends before that.
 */
export async function startServerProgram(
  path: string,
  args: readonly string[],
  { cwd, env = { PATH: process.env.PATH }, listensOn }: ServerProgramOptions,
): Promise<ServerProgram> {
  const child = spawn(path, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  for (const output of [child.stdout, child.stderr])
    createInterface({ input: output }).on('line', (line) => {
      said = `${said}${line}\n`.slice(-4000)
    })
  const exited = once(child, 'exit')
  const program: ServerProgram = {
    process: child,
    said: () => said,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await within(`${path} to end`, exited).catch(async () => {
        child.kill('SIGKILL')
        await exited
      })
    },
  }
  try {
    for (const place of listensOn) {
      const ended = exited.then(([code]) => Promise.reject(new Error(`it ended with ${code}`)))
      await Promise.race([within(`${path} to listen on ${place}`, untilListening(place), START_DEADLINE_MS), ended])
    }
  } catch (error) {
    await program[Symbol.asyncDispose]()
    throw new Error(`${path} does not start: ${(error as Error).message}\n${said}`)
  }
  return program
}

async function untilListening(place: number | string): Promise<void> {
  for (;;) {
    const socket = typeof place === 'number' ? connect(place, '127.0.0.1') : connect(place)
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
