/**
 * The demo: the example app, and the gateway in front of it. `npm start` runs it.
 *
 * Standard output is the gateway's and nothing else, so that its first line is the one that says where it listens. The
 * working directory is kept: `var/`, with the sessions and the keys, is made there, and both programs find it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { constants } from 'node:os'
import { resolve } from 'node:path'

const checkout = resolve(import.meta.dirname, '..')

/** The same variables, with the same defaults, as in `config/sessiongate.yaml`. */
const app = new URL(process.env.APP || 'http://127.0.0.1:8000')
const listen = process.env.LISTEN || '127.0.0.1:8080'
const operatorListen = process.env.ADMIN_LISTEN || '127.0.0.1:9901'

const stopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/** How long a program that was told to end may take before it is ended, in milliseconds; the gateway drains for 20 s. */
const patienceMs = 25_000

process.exitCode = (await explainTaken()) ?? (await run())

/** Names a port that another program has, before anything is started; undefined when all are free. */
async function explainTaken(): Promise<number | undefined> {
  for (const [address, variable] of [
    [app.host, 'APP'],
    [listen, 'LISTEN'],
    [operatorListen, 'ADMIN_LISTEN'],
  ] as const) {
    if (!(await isTaken(address))) continue
    tell(`${address} is taken by another program: end it, or set ${variable} (see config/sessiongate.yaml)`)
    return 1
  }
  return undefined
}

async function isTaken(address: string): Promise<boolean> {
  const [, host, port] = /^(.*):(\d+)$/.exec(address) ?? []
  if (port === undefined) return false // a unix socket, or off
  await using probe = createServer()
  try {
    probe.listen(Number(port), ...(host ? [host.replace(/^\[|\]$/g, '')] : []))
    await once(probe, 'listening')
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
  }
}

/** Runs both until the gateway ends, or one of the signals comes, and gives the gateway's exit code. */
async function run(): Promise<number> {
  const stopped = Promise.withResolvers<NodeJS.Signals>()
  for (const signal of stopSignals) process.on(signal, () => stopped.resolve(signal))

  const shop = start(['examples/node-app/server.mjs'], { stdout: 'pipe', env: { PORT: app.port || '80' } })
  const isAppUp = await Promise.race([
    once(shop.child.stdout ?? shop.child, 'data').then(() => true), // its first line; none of them is ours to print
    shop.end.then(() => false),
    stopped.promise.then(() => false),
  ])
  if (!isAppUp) return await stop(shop)
  shop.child.stdout?.resume()

  const gateway = start(['src/main.ts', 'serve', '--config', resolve(checkout, 'config/sessiongate.yaml')])
  const first = await Promise.race([gateway.end, shop.end.then(() => 'app' as const), stopped.promise])
  if (first === 'app') tell('the example app has ended, so the demo ends, too')
  const code = await stop(gateway, first === 'SIGINT' ? first : 'SIGTERM')
  await stop(shop)
  return first === 'app' ? 1 : code
}

interface Program {
  readonly child: ChildProcess
  /** The exit code; as shells say it, 128 and the signal's number where a signal ended it. */
  readonly end: Promise<number>
}

/**
 * Each in a process group of its own: Ctrl-C in a terminal goes to a whole group, and the gateway, which takes a second
 * signal for impatience, would get it from the terminal and from here.
 */
function start(
  [script, ...rest]: readonly [string, ...string[]],
  { stdout = 'inherit', env = {} }: { stdout?: 'inherit' | 'pipe'; env?: NodeJS.ProcessEnv } = {},
): Program {
  const child = spawn(process.execPath, [resolve(checkout, script), ...rest], {
    env: { ...process.env, ...env },
    stdio: ['ignore', stdout, 'inherit'],
    detached: true,
  })
  process.on('exit', () => child.kill()) // whatever this script ends of, nothing is left behind
  const end = once(child, 'exit').then(([code, signal]: (number | NodeJS.Signals | null)[]) => {
    return typeof code === 'number' ? code : 128 + (constants.signals[signal as NodeJS.Signals] ?? 0)
  })
  return { child, end }
}

async function stop({ child, end }: Program, signal: NodeJS.Signals = 'SIGTERM'): Promise<number> {
  child.kill(signal)
  const impatience = setTimeout(() => child.kill('SIGKILL'), patienceMs)
  return await end.finally(() => clearTimeout(impatience))
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`)
}
