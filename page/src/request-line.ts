/** What the page shows of a request that has ended: members of its line in the access log. */
export interface RequestLine {
  /** Counts up from one; the line has no name of its own. */
  readonly number: number
  readonly time: string
  readonly method: string
  readonly path: string
  readonly host: string
  /** With its host, which may decide about the route; what it was asked with is not in the log. */
  readonly url: string
  readonly route: string
  readonly status: number | undefined
  readonly durationMs: number | undefined
  readonly client: string
  /** What the gateway did and why, in its own words. */
  readonly decision: string
  /** Public id. */
  readonly session: string | undefined
}

export interface LineFilter {
  /** `2` to `5`: the first digit; empty = all. */
  readonly status: string
  /** A part of it, however its letters are cased. */
  readonly path: string
  readonly route: string
}

/** Undefined for what is no line of a request. */
export function parseRequestLine(text: string, number: number): RequestLine | undefined {
  const line = parseObject(text)
  if (line === undefined) return undefined
  const word = (name: string): string => (typeof line[name] === 'string' ? line[name] : '')
  const amount = (name: string): number | undefined => (typeof line[name] === 'number' ? line[name] : undefined)
  const [path, host] = [word('url.path'), word('server.address')]
  const [reason, why] = [word('local.reason') || word('outcome'), word('auth.reason')].map((text) =>
    text.replaceAll('_', ' '),
  )
  return {
    number,
    time: word('time'),
    method: word('http.request.method'),
    path,
    host,
    url: host === '' ? path : `${word('url.scheme') || 'http'}://${host}${path}`,
    route: word('http.route'),
    status: amount('http.response.status_code'),
    durationMs: amount('duration_ms'),
    client: word('client.address'),
    decision: [word('error.type') || reason, why].filter((text) => text !== '').join(', '),
    session: word('session.id_hash') || undefined,
  }
}

export function isShown({ status, path, route }: RequestLine, filter: LineFilter): boolean {
  if (filter.status !== '' && String(status ?? '')[0] !== filter.status) return false
  if (filter.route !== '' && route !== filter.route) return false
  return path.toLowerCase().includes(filter.path.trim().toLowerCase())
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}
