import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A process that answers each line of JSON with one. */
export interface Side extends AsyncDisposable {
  /** @throws {Error} with what the other side says, when it fails or has ended. */
  call<T>(command: string, given: object): Promise<T>
}

/** Starts a program that takes commands on stdin; it ends when stdin does. */
export function startSide(program: string, args: readonly string[], options: SpawnOptions): Side {
  const child = spawn(program, args, { ...options, stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  return {
    call: callsOf(child),
    async [Symbol.asyncDispose]() {
      child.stdin?.end()
      const killer = setTimeout(() => child.kill('SIGKILL'), 5000)
      await exited
      clearTimeout(killer)
    },
  }
}

/** Answers come in the order of the commands. */
function callsOf(child: ChildProcess): Side['call'] {
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw new TypeError('the process runs without pipes')
  const waiting: PromiseWithResolvers<string>[] = []
  let end: Error | undefined
  stdin.on('error', () => {}) // writing to a process that has ended; its end tells
  createInterface({ input: stdout }).on('line', (line) => waiting.shift()?.resolve(line))
  child.on('exit', (code, signal) => {
    end = new Error(`${child.spawnargs.at(-1)} ended with ${code ?? signal}`)
    for (const { reject } of waiting.splice(0)) reject(end)
  })
  return async function call<T>(command: string, given: object): Promise<T> {
    if (end !== undefined) throw end
    const answer = Promise.withResolvers<string>()
    waiting.push(answer)
    stdin.write(`${JSON.stringify([command, given])}\n`)
    const { value, error } = JSON.parse(await answer.promise) as { value: T; error?: string }
    if (error !== undefined) throw new Error(`${command}: ${error}`)
    return value
  }
}
