import { type ChildProcess, fork } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { OperationRefused } from '../../../src/admin/operations.ts'
import { Secret } from '../../../src/config/secret.ts'
import type { Sink } from '../../../src/observe/sink.ts'
import { openFleet } from '../../../src/workers/fleet.ts'
import type { FleetConfig, FleetParts } from '../../../src/workers/fleet-options.ts'
import { loadText, MINIMAL } from '../../config/sample.ts'
import { within } from '../../support/deadline.ts'
import type { FakeBehaviour } from '../../support/fake-worker.ts'

const program = new URL('../../support/fake-worker.ts', import.meta.url)

export const TOKEN = 'the-token-of-these-tests-0123456789'

export interface FakeFleetOptions {
  readonly workers: number
  /** What the first process does, the second, and so on; the last is what all others do. Default: what it should. */
  readonly behaviours?: readonly FakeBehaviour[]
  readonly times?: FleetParts['times']
  readonly drainMs?: number
  readonly schedule?: FleetParts['schedule']
}

const { config: sample } = await loadText(MINIMAL)

export function configOf(workers: number, text: string, drainMs = 5_000): FleetConfig {
  return {
    config: {
      ...sample,
      workers,
      admin: {
        listen: { text: 'a', address: { kind: 'tcp', host: '127.0.0.1', port: 0 } },
        token: new Secret(TOKEN),
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
    { ...configOf(workers, 'first', drainMs), version: '9', warnings: [] },
    {
      sink,
      fileOperations: () => ({
        configuration: () => Promise.reject(new OperationRefused('there is no file')),
        reload: () => Promise.reject(new OperationRefused('there is no file')),
      }),
      openSpeech: () => () => Promise.reject(new Error('none of them speaks TLS')),
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
  const urlOf = (path: string): string => `http://${fleet.operatorAddress}${path}`
  const authorization = `Bearer ${TOKEN}`
  return {
    fleet,
    /** In the order of their starts. */
    children,
    forkedAtMs,
    logged: sink.logged,
    lines: sink.lines,
    async ready(): Promise<{ ready: boolean; checks: Record<string, string>; status: number }> {
      const answer = await fetch(urlOf('/readyz'))
      const body = (await answer.json()) as { ready: boolean; checks: Record<string, string> }
      return { ...body, status: answer.status }
    },
    async metric(line: string): Promise<number | undefined> {
      const text = await (await fetch(urlOf('/metrics'))).text()
      const found = text.split('\n').find((each) => each.startsWith(`${line} `))
      return found === undefined ? undefined : Number(found.slice(line.length + 1))
    },
    /** What the API answers; with a body it is a POST. */
    async api(path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
      const headers = { authorization, 'content-type': 'application/json' }
      const order = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
      const answer = await fetch(urlOf(`/api${path}`), { ...order, headers })
      return { status: answer.status, body: await answer.json() }
    },
    /** Watches requests until the signal. */
    async watch(signal: AbortSignal) {
      const answer = await fetch(urlOf('/api/requests'), { headers: { authorization }, signal })
      let text = ''
      const reading = (async () => {
        for await (const chunk of answer.body ?? []) text += Buffer.from(chunk).toString()
      })().catch(() => undefined)
      return { text: () => text, reading }
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
