import type { Target } from './load.ts'

/** What every peer is given; servers are started when the first one asks. */
export interface PeerSite {
  /** An empty folder of this peer alone. */
  readonly folder: string
  /** `http://127.0.0.1:PORT` of the app. */
  readonly appOrigin: string
  redisPort(): Promise<number>
  /** The URL of a new, empty database. */
  postgresUrl(): Promise<string>
}

export interface RunningPeer extends AsyncDisposable {
  readonly origin: string
  /** The process whose CPU time counts, with all that it has started. */
  readonly pid: number
  readonly version: string
  /** Gives the `Cookie` of somebody who has just logged in; undefined where nobody can. */
  readonly logIn?: () => Promise<string>
}

/** Another program that does the same, or a part of it. */
export interface Peer {
  readonly name: string
  /** How much of the gateway's work it does, for the table. */
  readonly work: 'session' | 'proxy'
  /** What it does for each request, in words. */
  readonly does: string
  /** The header that tells the app who is logged in; default `X-User-Name`. */
  readonly userHeader?: string
  /** Why it cannot take part here, in words; undefined if it can. May install it, if that takes no rights. */
  lack(): Promise<string | undefined>
  start(site: PeerSite): Promise<RunningPeer>
}

/** Somebody who can be asked, and whose CPU time can be read. */
export interface Contestant extends Target {
  readonly name: string
  cpuSeconds(): Promise<number>
}

/** The `Cookie` that an answer's `Set-Cookie` makes. */
export function cookieOf(answer: Response): string {
  const pairs = answer.headers.getSetCookie().map((line) => line.split(';', 1)[0] ?? '')
  if (pairs.length === 0) throw new Error(`${answer.url} was answered with ${answer.status} and no cookie`)
  return pairs.join('; ')
}
