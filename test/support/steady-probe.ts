import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { text } from 'node:stream/consumers'

/** A request that did not get its answer. */
export interface ProbeFailure {
  readonly why: string
  /** On `performance.now()`'s scale, as `endedMs`. */
  readonly beganMs: number
  readonly endedMs: number
  /** On a connection of its own, or on one that had brought requests before. */
  readonly isFresh: boolean
}

export interface ProbeReport {
  readonly asked: number
  readonly failures: readonly ProbeFailure[]
}

export interface SteadyProbe extends AsyncDisposable {
  /** How many requests are under way. */
  running(): number
  /** How many were answered so far. */
  answered(): number
  failures(): readonly ProbeFailure[]
  /** Ends it, and waits for what is under way. */
  end(): Promise<ProbeReport>
}

export interface ProbeAnswer {
  readonly path: string
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface ProbeOptions {
  readonly url: string
  readonly perSecond: number
  /** What the requests ask for, in turns. Default: each for a number (`/probe/17`) that its answer can be told by. */
  readonly paths?: readonly string[]
  /** What is wrong with an answer; undefined if nothing is. Default: whatever is not 200 is. */
  readonly flawOf?: (answer: ProbeAnswer) => string | undefined
}

/** Connections that are kept; each brings a request every few hundredths of a second, as that of a busy balancer. */
const MAX_LINES = 16
const PER_SECOND_AND_LINE = 12

/** Asks evenly, half on connections that are kept, half on new ones. Nothing is asked twice: what fails, fails. */
export function startSteadyProbe({ url, perSecond, paths, flawOf = flawOfStatus }: ProbeOptions): SteadyProbe {
  const lines = Math.min(MAX_LINES, Math.ceil(perSecond / 2 / PER_SECOND_AND_LINE))
  const agents = Array.from({ length: lines }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
  const failures: ProbeFailure[] = []
  const running = new Set<Promise<void>>()
  const beganMs = performance.now()
  let asked = 0
  let answered = 0

  async function ask(number: number): Promise<void> {
    const isFresh = number % 2 === 0
    const pair = Math.floor(number / 2)
    const agent = agents[pair % lines]
    const startMs = performance.now()
    // Each path on both kinds of connection.
    const path = paths?.[pair % paths.length] ?? `/probe/${number}`
    try {
      const flaw = flawOf({ ...(await exchange(`${url}${path}`, isFresh ? undefined : agent)), path })
      if (flaw !== undefined) throw new Error(flaw)
      answered += 1
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      failures.push({ why, beganMs: startMs, endedMs: performance.now(), isFresh })
    }
  }

  const asking = setInterval(() => {
    const due = ((performance.now() - beganMs) / 1000) * perSecond
    // A client that was held up itself does not catch up in one rush.
    if (due - asked > perSecond / 4) asked = Math.floor(due)
    for (; asked < due; asked++) {
      const one = ask(asked).finally(() => running.delete(one))
      running.add(one)
    }
  }, 2)

  async function end(): Promise<ProbeReport> {
    clearInterval(asking)
    await Promise.all(running)
    for (const agent of agents) agent.destroy()
    return { asked: answered + failures.length, failures }
  }
  return {
    running: () => running.size,
    answered: () => answered,
    failures: () => failures,
    end,
    async [Symbol.asyncDispose]() {
      await end()
    },
  }
}

function flawOfStatus({ status }: { readonly status: number }): string | undefined {
  return status === 200 ? undefined : `status ${status}`
}

async function exchange(url: string, agent: Agent | undefined): Promise<Omit<ProbeAnswer, 'path'>> {
  const { promise, resolve, reject } = Promise.withResolvers<Omit<ProbeAnswer, 'path'>>()
  const client = request(url, { agent: agent ?? false, timeout: 20_000 }, (response) => {
    const { statusCode = 0, headers } = response
    text(response).then((body) => resolve({ status: statusCode, headers, body }), reject)
  })
  client.on('timeout', () => client.destroy(new Error('no answer within 20 s')))
  client.on('error', reject)
  client.end()
  return await promise
}
