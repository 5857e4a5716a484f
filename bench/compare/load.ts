import autocannon from 'autocannon'

export const CONNECTIONS = 64

/** One request that is made again and again. */
export interface Ask {
  readonly path: string
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
}

/** What is asked, in turns: nine times this and once that is a list of ten. */
export interface Traffic {
  readonly asks: readonly [Ask, ...Ask[]]
  /** What every answer has; default 200. */
  readonly status?: number
}

/** Who is asked, and as whom: one `Cookie` per person. Each connection is one person, or several in turns. */
export interface Target {
  readonly origin: string
  readonly cookies: readonly string[]
}

export interface Load {
  readonly requests: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/**
 * 64 connections that ask as fast as they are answered.
 *
 * @throws {Error} if a single answer was not as expected: then something else was measured.
 */
export async function runLoad({ origin, cookies }: Target, traffic: Traffic, seconds: number): Promise<Load> {
  let connection = 0
  const result = await autocannon({
    url: origin,
    connections: CONNECTIONS,
    duration: seconds,
    // How often it looks whether the time is over.
    sampleInt: 50,
    setupClient(client) {
      client.setRequests(requestsOf(traffic, cookies, connection))
      connection += 1
    },
  })
  requireAll(traffic.status ?? 200, result, origin)
  const { total } = result.requests
  const { p50, p99 } = result.latency
  return { requests: total, perSecond: total / result.duration, p50Ms: p50, p99Ms: p99 }
}

/** Each connection begins somewhere else in the list, so that they do not walk in step. */
function requestsOf({ asks }: Traffic, cookies: readonly string[], connection: number): autocannon.Request[] {
  const own = cookies.filter((_, person) => person % CONNECTIONS === connection % CONNECTIONS)
  const people = own.length > 0 ? own : [cookies[connection % Math.max(1, cookies.length)]]
  return people.flatMap((cookie) =>
    asks.map((_, turn) => {
      const { path, method = 'GET', headers, body } = asks[(turn + connection) % asks.length] ?? asks[0]
      const all = { ...headers, ...(cookie !== undefined && { cookie }) }
      return { path, method, headers: all, ...(body && { body }) }
    }),
  )
}

function requireAll(status: number, result: autocannon.Result, origin: string): void {
  const { errors, timeouts, statusCodeStats = {} } = result
  const odd = Object.entries(statusCodeStats).filter(([code]) => Number(code) !== status)
  if (errors + timeouts === 0 && odd.length === 0 && result.requests.total > 0) return
  const codes = Object.entries(statusCodeStats).map(([code, { count }]) => `${count} × ${code}`)
  throw new Error(`${origin} gave ${codes.join(', ') || 'no answer'}, ${errors} errors, ${timeouts} timeouts`)
}
