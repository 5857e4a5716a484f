import { lookup as lookUp } from 'node:dns/promises'
import type { LookupFunction, Socket } from 'node:net'

/** How long an answer is held to be true, and what was just asked is not asked again. */
const DEFAULT_REFRESH_MS = 10_000
const DOUBT_AFTER_MS = 1_000

export interface HostAddress {
  readonly address: string
  readonly family: number
}

/** Where the addresses of names come from; rejects when there are none. */
export interface NameResolution {
  readonly resolve: (host: string) => Promise<readonly HostAddress[]>
  /** How often a name is resolved again, in milliseconds; default 10,000. */
  readonly refreshMs?: number
}

/** As every program of this machine resolves names: `/etc/hosts`, then DNS. It says nothing of how long they hold. */
const systemResolution: NameResolution = { resolve: (host) => lookUp(host, { all: true }) }

/**
 * The addresses of one host name. A name is resolved when it is first needed and then again at intervals, one question at
 * a time, and no connection waits for the later ones. While a name cannot be resolved, the last answer stands: a name
 * server that is away must not take apps away that are there.
 */
export class AddressBook implements Disposable {
  readonly #host: string
  readonly #resolution: NameResolution
  readonly #watchers: (() => void)[] = []
  #addresses: readonly HostAddress[] = []
  #current: ReadonlySet<string> = new Set()
  #asking: Promise<readonly HostAddress[]> | undefined
  #askedMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #turn = 0
  #isClosed = false

  constructor(host: string, resolution: NameResolution = systemResolution) {
    this.#host = host
    this.#resolution = resolution
  }

  /** For `net.connect`. Connections are spread over the addresses. */
  readonly lookup: LookupFunction = (_host, options, callback) => {
    const answer = (addresses: readonly HostAddress[]): void => {
      const [first, ...others] = this.#rotated(addresses)
      if (first === undefined) callback(noAddress(this.#host), '')
      else if (options.all === true) callback(null, [first, ...others])
      else callback(null, first.address, first.family)
    }
    // Never before this call has returned: the socket is not ready for it.
    if (this.#addresses.length > 0) process.nextTick(answer, this.#addresses)
    else this.#ask().then(answer, (error: Error) => callback(error, ''))
  }

  /** Calls back when addresses have gone from the answer. */
  watch(onGone: () => void): void {
    this.#watchers.push(onGone)
  }

  /** Whether the name still leads to the other end of that socket, which is connected. */
  isCurrent({ remoteAddress }: Socket): boolean {
    return remoteAddress !== undefined && this.#current.has(withoutZone(remoteAddress))
  }

  /** No connection could be made: perhaps the app has moved. */
  doubt(): void {
    if (performance.now() - this.#askedMs >= DOUBT_AFTER_MS) this.#refresh()
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #refresh(): void {
    if (!this.#isClosed) this.#ask().catch(() => undefined)
  }

  #ask(): Promise<readonly HostAddress[]> {
    this.#asking ??= this.#resolve()
    return this.#asking
  }

  async #resolve(): Promise<readonly HostAddress[]> {
    this.#askedMs = performance.now()
    clearTimeout(this.#timer)
    try {
      const addresses = await this.#resolution.resolve(this.#host)
      if (addresses.length > 0) this.#take(addresses)
      return addresses
    } finally {
      this.#asking = undefined
      const { refreshMs = DEFAULT_REFRESH_MS } = this.#resolution
      if (!this.#isClosed) this.#timer = setTimeout(() => this.#refresh(), refreshMs).unref()
    }
  }

  #take(addresses: readonly HostAddress[]): void {
    const before = this.#addresses
    this.#addresses = addresses
    this.#current = new Set(addresses.map(({ address }) => withoutZone(address)))
    if (before.every(({ address }) => this.#current.has(withoutZone(address)))) return
    for (const onGone of this.#watchers) onGone()
  }

  /** Each in turn goes first; where there are two families, the system's order says which of them works here. */
  #rotated(addresses: readonly HostAddress[]): HostAddress[] {
    if (addresses.some(({ family }) => family !== addresses[0]?.family)) return [...addresses]
    this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER
    const from = this.#turn % Math.max(1, addresses.length)
    return [...addresses.slice(from), ...addresses.slice(0, from)]
  }
}

/** `fe80::1%eth0`: a socket does not say the zone again. */
function withoutZone(address: string): string {
  const at = address.indexOf('%')
  return at === -1 ? address : address.slice(0, at)
}

function noAddress(host: string): Error {
  return Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND' })
}
