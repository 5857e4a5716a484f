import { once } from 'node:events'
import { type IncomingMessage, type OutgoingHttpHeaders, request as startRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { within } from '../support/deadline.ts'

export interface Asked {
  readonly port?: number
  /** Of a Unix socket, instead of a port. */
  readonly socketPath?: string
  /** The address that the connection comes from; `127.0.0.2` is a stranger where `127.0.0.1` is trusted. */
  readonly from?: string
  readonly method?: string
  /** Request target, byte for byte. */
  readonly path?: string
  readonly headers?: OutgoingHttpHeaders
}

export interface Answered {
  readonly status: number
  /** The values of every line of that name. */
  values(name: string): string[]
  readonly text: string
  /** Of the obedient app: what it got. */
  seen(): Seen
}

/** A request as the obedient app tells that it came. */
export interface Seen {
  readonly method: string
  readonly url: string
  values(name: string): string[]
  claims(): Record<string, unknown>
}

/** One request on a connection of its own, with every header as given and none added but Host. */
export async function ask({ from, path = '/', headers = {}, ...rest }: Asked): Promise<Answered> {
  const request = startRequest({
    host: '127.0.0.1',
    ...rest,
    ...(from === undefined ? {} : { localAddress: from }),
    path,
    headers: { Connection: 'close', ...headers },
    agent: false,
  })
  request.end()
  const [response] = (await within(`an answer to ${path}`, once(request, 'response'))) as [IncomingMessage]
  const body = await text(response)
  return {
    status: response.statusCode ?? 0,
    values: (name) => valuesOf(response.rawHeaders, name),
    text: body,
    seen: () => seenIn(body),
  }
}

function seenIn(body: string): Seen {
  const { method, url, rawHeaders } = JSON.parse(body) as { method: string; url: string; rawHeaders: string[] }
  const values = (name: string): string[] => valuesOf(rawHeaders, name)
  const claims = (): Record<string, unknown> =>
    JSON.parse(Buffer.from(values('X-Session-Assertion')[0]?.split('.')[1] ?? '', 'base64url').toString())
  return { method, url, values, claims }
}

function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name.toLowerCase())
}

/** The session cookie that an answer sets, as a request sends it back. */
export function cookieOf(answer: Answered): string {
  return (
    answer
      .values('Set-Cookie')
      .find((line) => line.startsWith('sessionid='))
      ?.split(';')[0] ?? ''
  )
}

/** What a browser sends when somebody opens a page. */
export const navigation = { Accept: 'text/html', 'Sec-Fetch-Mode': 'navigate' }
