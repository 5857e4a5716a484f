import { type ChildProcess, fork } from 'node:child_process'
import { EventEmitter } from 'node:events'
import type { Sink } from '../../../src/observe/sink.ts'
import { openFleet } from '../../../src/workers/fleet.ts'
import type { FleetConfig, FleetParts } from '../../../src/workers/fleet-options.ts'
import { within } from '../../support/deadline.ts'
import type { FakeBehaviour } from '../../support/fake-worker.ts'

const program = new URL('../../support/fake-worker.ts', import.meta.url)

export interface FakeFleetOptions {
  readonly workers: number
  /** What the first process does, the second, and so on; the last is what all others do. Default: what it should. */
  readonly behaviours?: readonly FakeBehaviour[]
  readonly times?: FleetParts['times']
  readonly drainMs?: number
  readonly schedule?: FleetParts['schedule']
}

export function configOf(workers: number, text: string, drainMs = 5_000): FleetConfig {
  return {
    config: {
      workers,
      admin: {
        listen: { text: 'a', address: { kind: 'tcp', host: '127.0.0.1', port: 0 } },
        token: undefined,
        showsValues: false,
      },
      probes: undefined,
      shutdown: { drainMs, readinessDelayMs: 0 },
      logging: { level: 'info', access: true },
    },
    path: 'gate.yaml',
    files: [['gate.yaml', Buffer.from(text).toString('base64')]],
  }
}

/** A supervisor of processes that pretend to serve. */
export async function openFakeFleet(options: FakeFleetOptions) {
  const { behaviours = [{}], workers, times, drainMs, schedule } = options
  const children: ChildProcess[] = []
  const forkedAtMs: number[] = []
  const sink = createListeningSink()
  const fleet = await openFleet(
    { ...configOf(workers, 'first', drainMs), warnings: [] },
    {
      sink,
      ...(times && { times }),
      ...(schedule && { schedule }),
      fork() {
        const behaviour = behaviours[children.length] ?? behaviours.at(-1)
        const child = fork(program, [JSON.stringify(behaviour)], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
        children.push(child)
        forkedAtMs.push(performance.now())
        return child
      },
    },
  )
  const operator = `http://${fleet.operatorAddress}`
  return {
    fleet,
    /** In the order of their starts. */
    children,
    forkedAtMs,
    logged: sink.logged,
    lines: sink.lines,
    async ready(): Promise<{ ready: boolean; checks: Record<string, string>; status: number }> {
      const answer = await fetch(`${operator}/readyz`)
      const body = (await answer.json()) as { ready: boolean; checks: Record<string, string> }
      return { ...body, status: answer.status }
    },
    async metric(line: string): Promise<number | undefined> {
      const text = await (await fetch(`${operator}/metrics`)).text()
      const found = text.split('\n').find((each) => each.startsWith(`${line} `))
      return found === undefined ? undefined : Number(found.slice(line.length + 1))
    },
    [Symbol.asyncDispose]: () => fleet[Symbol.asyncDispose](),
  }
}

type Line = Readonly<Record<string, unknown>>

/** Remembers lines, and resolves when the nth comes for which it holds. */
function createListeningSink() {
  const lines: string[] = []
  const arrivals = new EventEmitter().setMaxListeners(0)
  const sink: Sink = {
    write(text) {
      lines.push(...text.split('\n').filter((line) => line !== ''))
      arrivals.emit('line')
    },
    droppedLines: 0,
    waiting: 0,
    close: async () => undefined,
  }
  const found = (msg: string): Line[] =>
    lines.map((line) => JSON.parse(line) as Line).filter((line) => line.msg === msg)
  return {
    ...sink,
    lines,
    async logged(msg: string, count = 1): Promise<Line> {
      const { promise, resolve } = Promise.withResolvers<Line>()
      const look = (): void => {
        const line = found(msg)[count - 1]
        if (line !== undefined) resolve(line)
      }
      arrivals.on('line', look)
      look()
      return await within(`${count} lines "${msg}"`, promise, 30_000).finally(() => arrivals.off('line', look))
    },
  }
}
