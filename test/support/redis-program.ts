import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { within } from './deadline.ts'
import { requireServer } from './requirement.ts'

/** Where all servers of tests listen. */
export const HOST = '127.0.0.1'

/** The user who may everything, on every server. */
export const ADMIN = { username: 'test-admin', password: 'test-admin-password' }

/** What a start, or getting to know each other, may take on a busy machine. */
const START_DEADLINE_MS = 30_000

/** A server's reply; strings are strings. */
export type RedisReply = unknown

/** One process of `redis-server`, which may be started again after it was killed. */
export class RedisProgram implements AsyncDisposable {
  readonly #folder: string
  readonly #lines: readonly string[]
  readonly #answers: () => Promise<unknown>
  readonly #args: readonly string[]
  readonly #path = requireServer('redis').path
  #child: ChildProcess | undefined
  log = ''

  constructor(folder: string, lines: readonly string[], answers: () => Promise<unknown>, args: readonly string[] = []) {
    this.#folder = folder
    this.#lines = lines
    this.#answers = answers
    this.#args = args
  }

  async start(): Promise<void> {
    const file = join(this.#folder, 'redis.conf')
    // A sentinel writes into its file; what it learned before it was killed, it shall find again.
    if (this.log === '' || this.#args.length === 0) await writeFile(file, `${this.#lines.join('\n')}\n`)
    const child = spawn(this.#path, [file, ...this.#args], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child = child
    const reap = () => child.kill('SIGKILL')
    process.once('exit', reap)
    child.once('exit', () => process.off('exit', reap))
    child.stdout?.on('data', (text) => {
      this.log += text
    })
    await eventually('Redis to answer', async () => {
      if (child.exitCode !== null) throw new Error(`redis-server ended by itself:\n${this.log}`)
      return await this.#answers().then(
        () => true,
        () => false,
      )
    })
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await within('the end of redis-server', gone)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** One command on a connection of its own: by the path of a socket as the admin, by a port as nobody (sentinels). */
export async function ask(
  where: string | number,
  name: string,
  ...args: (string | number | Buffer)[]
): Promise<RedisReply> {
  const redis = new Redis({
    ...(typeof where === 'string' ? { path: where, ...ADMIN } : { host: HOST, port: where }),
    lazyConnect: true,
    retryStrategy: null,
    enableReadyCheck: false,
    disableClientInfo: true,
    connectTimeout: 5000,
    socketTimeout: 10_000,
  })
  redis.on('error', () => {})
  try {
    return await redis.call(name, ...args)
  } finally {
    redis.disconnect()
    redis.stream?.destroy()
  }
}

/** Asks again and again until it holds. */
export async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + START_DEADLINE_MS
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`waited ${START_DEADLINE_MS} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A port that is free now. Somebody may take it before it is used; the start then fails, and says so. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST)
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}
