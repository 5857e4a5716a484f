import { Agent, request } from 'undici'

/** One answer to a probe; `error` in the place of an answer that did not come. */
export interface ProbeAnswer {
  readonly path: string
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly body: string
}

export interface Probes extends AsyncDisposable {
  readonly answers: readonly ProbeAnswer[]
  /** Ends, and counts the answers by what is made of them; what failed is counted as `failed: CODE`. */
  stop(judge: (answer: ProbeAnswer) => string): Promise<Readonly<Record<string, number>>>
}

export interface ProbeOptions {
  /** Asked in turns. */
  readonly paths: readonly string[]
  readonly perSecond: number
  /** Each probe on a connection of its own; default: on kept ones. */
  readonly isFresh?: boolean
}

/** Asks a gateway steadily, whatever becomes of the answers. A probe is made once: a lost one is lost. */
export function startProbes(url: string, { paths, perSecond, isFresh = false }: ProbeOptions): Probes {
  const agent = new Agent({ pipelining: isFresh ? 0 : 1, connections: 64 })
  const answers: ProbeAnswer[] = []
  const failures = new Map<string, number>()
  const running = new Set<Promise<void>>()
  const startedMs = performance.now()
  let asked = 0
  const timer = setInterval(() => {
    // As many as are due: timers come late on a busy machine.
    const due = ((performance.now() - startedMs) / 1000) * perSecond
    for (; asked < due; asked += 1) {
      const asking: Promise<void> = ask(paths[asked % paths.length] ?? '/').finally(() => running.delete(asking))
      running.add(asking)
    }
  }, 5)

  async function ask(path: string): Promise<void> {
    try {
      const answer = await request(`${url}${path}`, { dispatcher: agent, reset: isFresh, headersTimeout: 20_000 })
      const headers = new Headers()
      for (const [name, value] of Object.entries(answer.headers)) headers.set(name, String(value))
      answers.push({ path, status: answer.statusCode, headers, body: await answer.body.text() })
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      failures.set(code, (failures.get(code) ?? 0) + 1)
    }
  }

  async function end(): Promise<void> {
    clearInterval(timer)
    await Promise.all(running)
  }

  return {
    answers,
    async stop(judge) {
      await end()
      const kinds: Record<string, number> = {}
      for (const answer of answers) {
        const kind = judge(answer)
        kinds[kind] = (kinds[kind] ?? 0) + 1
      }
      for (const [code, count] of failures) kinds[`failed: ${code}`] = count
      return kinds
    },
    async [Symbol.asyncDispose]() {
      await end()
      await agent.destroy()
    },
  }
}
