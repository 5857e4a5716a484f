import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { DEADLINE_MS, within } from './deadline.ts'
import type { Requirement } from './requirement.ts'

export interface RawValue {
  readonly flags: number
  readonly bytes: Buffer
}

/** A real memcached of this test alone, on a port of 127.0.0.1 that stays the same when it is restarted. */
export interface MemcachedServer extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** Sends one command, data lines included, on a connection of its own, and returns all that comes back (latin1). */
  ask(command: string): Promise<string>
  /** What lies under a key, past any client of ours. */
  peek(key: string): Promise<RawValue | undefined>
  /** Puts a value under a key, for an hour. */
  plant(key: string, value: RawValue): Promise<void>
  /** SIGKILL; resolves when the process is gone, with all it held. */
  kill(): Promise<void>
  /** Starts a new, empty process after `kill`; resolves when it answers. */
  restart(): Promise<void>
  /** SIGSTOP: it hears nothing, while the system goes on accepting connections for it. */
  stop(): void
  /** SIGCONT. */
  continue(): void
}

/** The signal is taken by each thread when it next looks: until all have, one of them may still answer. */
function stopProcess(child: ChildProcess): void {
  child.kill('SIGSTOP')
  const tasks = `/proc/${child.pid}/task`
  const isStopped = (task: string): boolean => / T /.test(readFileSync(`${tasks}/${task}/stat`, 'latin1'))
  if (!existsSync(tasks)) return
  const giveUpAt = performance.now() + DEADLINE_MS
  while (!readdirSync(tasks).every(isStopped)) {
    if (performance.now() > giveUpAt) throw new Error('memcached did not stop')
  }
}

/** Starts memcached, with arguments beside those for place and user, such as `['-m', '1']`. */
export async function startMemcached({ path }: Requirement, args: readonly string[] = []): Promise<MemcachedServer> {
  const host = '127.0.0.1'
  const port = await freePort(host)
  // As root it refuses to run without a user to become.
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const start = async (): Promise<ChildProcess> => {
    const child = spawn(path, ['-l', host, '-p', `${port}`, '-U', '0', ...user, ...args], { stdio: 'ignore' })
    const endWithUs = () => child.kill('SIGKILL')
    process.once('exit', endWithUs)
    child.once('exit', () => process.off('exit', endWithUs))
    await within('memcached', isAnswering(host, port, child))
    return child
  }
  const ask = (command: string) => exchange({ host, port }, command)
  let child = await start()
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  return {
    host,
    port,
    ask,
    async peek(key) {
      const reply = await ask(`get ${key}\r\n`)
      const head = /^VALUE \S+ (\d+) (\d+)\r\n/.exec(reply)
      if (!head) return undefined
      const start = head[0].length
      return { flags: Number(head[1]), bytes: Buffer.from(reply.slice(start, start + Number(head[2])), 'latin1') }
    },
    async plant(key, { flags, bytes }) {
      const reply = await ask(`set ${key} ${flags} 3600 ${bytes.length}\r\n${bytes.toString('latin1')}\r\n`)
      if (reply !== 'STORED\r\n') throw new Error(`memcached said ${reply}`)
    },
    kill,
    async restart() {
      child = await start()
    },
    stop: () => stopProcess(child),
    continue: () => void child.kill('SIGCONT'),
    [Symbol.asyncDispose]: kill,
  }
}

/** The server closes at `quit`, so that the end of the reply needs no parser. */
async function exchange(address: { host: string; port: number }, command: string): Promise<string> {
  const socket = connect(address)
  const pieces: Buffer[] = []
  socket.on('data', (piece) => pieces.push(Buffer.from(piece)))
  socket.write(`${command}quit\r\n`, 'latin1')
  await within('a reply of memcached', once(socket, 'close'), DEADLINE_MS)
  return Buffer.concat(pieces).toString('latin1')
}

async function isAnswering(host: string, port: number, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`memcached ended with ${child.exitCode}`)
    const reply = await exchange({ host, port }, 'version\r\n').catch(() => '')
    if (reply.startsWith('VERSION ')) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
