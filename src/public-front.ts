import { fingerprint } from './config/fingerprint.ts'
import type { PublicListenConfig, TlsConfig } from './config/listen-config.ts'
import { addressKeys } from './lib/listening.ts'
import type { ConnectionLimit } from './server/connection-limit.ts'
import { type Door, openDoor } from './server/door.ts'
import type { TlsParts } from './server/http-front.ts'
import { type ClientTimes, createListener, type Handlers, type Listener } from './server/listener.ts'

export interface PublicFrontParts {
  /** Certificates are watched until the stack is disposed. */
  readonly openTls: (tls: TlsConfig, stack: AsyncDisposableStack) => Promise<TlsParts>
  /** By the configuration in force. */
  readonly isTrusted: (address: string | undefined) => boolean
  readonly connections: ConnectionLimit
}

/** The listeners of another configuration, with all of the present one that stays. */
export interface PreparedFront extends AsyncDisposable {
  /** Addresses at which nobody has listened before. */
  readonly newAddresses: readonly { readonly address: string; readonly isTls: boolean }[]
  /**
   * Now it is in force: connections are led to its listeners, requests to its handlers. What it does not have any more
   * takes no connection, and those of before end politely, or at the deadline.
   */
  commit(handlersFor: (listen: PublicListenConfig) => Handlers, drainMs: number): void
}

/** One entry of `listen`, open. */
interface Stand {
  readonly listen: PublicListenConfig
  readonly door: Door
  /** What of the entry cannot change under a connection. */
  readonly manner: string
  readonly listener: Listener
  /** What only this listener needs. */
  readonly closing: AsyncDisposableStack
}

/** An entry whose listener is yet to be made, or is one that stays. */
interface Plan {
  readonly listen: PublicListenConfig
  readonly door: Door
  readonly manner: string
  readonly times: ClientTimes
  readonly stand: Stand | undefined
  readonly tls: TlsParts | undefined
  readonly closing: AsyncDisposableStack
}

interface Planning {
  readonly before: Stand | undefined
  readonly times: ClientTimes
  /** What is opened for it. */
  readonly stack: AsyncDisposableStack
}

/** Where browsers come to: the addresses, and who speaks there. */
export class PublicFront implements AsyncDisposable {
  readonly #parts: PublicFrontParts
  /** By address, in the order of the configuration. */
  #stands: ReadonlyMap<string, Stand> = new Map()
  /** Listeners that take nobody any more, with what is to be closed after them. */
  readonly #leaving = new Set<Pick<Stand, 'listener' | 'closing'>>()

  constructor(parts: PublicFrontParts) {
    this.#parts = parts
  }

  /** In the order of the configuration. */
  get addresses(): readonly string[] {
    return [...this.#stands.values()].map(({ door }) => door.address)
  }

  /** @throws {Error} when an address cannot be had, or a certificate cannot be used. */
  async prepare(listens: readonly PublicListenConfig[], { headMs, keepAliveMs }: ClientTimes): Promise<PreparedFront> {
    await using stack = new AsyncDisposableStack()
    const plans = new Map<string, Plan>()
    const opened: Plan[] = []
    for (const [key, listen] of addressKeys(listens)) {
      const before = this.#stands.get(key)
      const plan = await this.#plan(listen, { before, times: { headMs, keepAliveMs }, stack })
      plans.set(key, plan)
      if (before === undefined) opened.push(plan)
    }
    const closing = stack.move()
    return {
      newAddresses: opened.map(({ door, tls }) => ({ address: door.address, isTls: tls !== undefined })),
      commit: (handlersFor, drainMs) => {
        closing.move()
        this.#commit(plans, handlersFor, drainMs)
      },
      [Symbol.asyncDispose]: () => closing.disposeAsync(),
    }
  }

  /** Stops listening; resolves when the last request has its answer, also of listeners that left before. */
  async drain(): Promise<void> {
    const stands = [...this.#stands.values()]
    await Promise.all(stands.map(({ door }) => door[Symbol.asyncDispose]()))
    await Promise.all([...stands, ...this.#leaving].map(({ listener }) => listener.drain()))
  }

  /** Cuts what is still open. */
  cut(): void {
    for (const { listener } of [...this.#stands.values(), ...this.#leaving]) listener.closeNow()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stands = [...this.#stands.values()]
    await Promise.all(stands.map(({ door }) => door[Symbol.asyncDispose]()))
    await Promise.all([...stands, ...this.#leaving].map(({ listener }) => listener[Symbol.asyncDispose]()))
    await Promise.all([...stands, ...this.#leaving].map(({ closing }) => closing.disposeAsync()))
  }

  async #plan(listen: PublicListenConfig, { before, times, stack }: Planning): Promise<Plan> {
    const manner = fingerprint([listen.tls, listen.proxyProtocol, times])
    const door = before?.door ?? stack.use(await openDoor(listen.address))
    const stand = before?.manner === manner ? before : undefined
    const closing = stack.use(new AsyncDisposableStack())
    const tls = stand === undefined && listen.tls ? await this.#parts.openTls(listen.tls, closing) : undefined
    return { listen, door, manner, times, stand, tls, closing }
  }

  #commit(
    plans: ReadonlyMap<string, Plan>,
    handlersFor: (listen: PublicListenConfig) => Handlers,
    drainMs: number,
  ): void {
    const before = this.#stands
    const stands = new Map<string, Stand>()
    for (const [key, plan] of plans) {
      const { listen, door, manner, stand, closing } = plan
      const handlers = handlersFor(listen)
      stand?.listener.use(handlers)
      const listener = stand?.listener ?? this.#speak(plan, handlers)
      stands.set(key, { listen, door, manner, listener, closing: stand?.closing ?? closing })
    }
    this.#stands = stands
    for (const [key, stand] of before) {
      const after = stands.get(key)
      if (after === undefined) void stand.door[Symbol.asyncDispose]()
      if (after?.listener !== stand.listener) void this.#leave(stand, drainMs)
    }
  }

  #speak({ door, listen, tls, times }: Plan, handlers: Handlers): Listener {
    const { isTrusted, connections } = this.#parts
    const proxyProtocol = listen.proxyProtocol ? { isTrusted } : undefined
    const listener = createListener(door, handlers, { tls, proxyProtocol, times, connections })
    door.lead(listener.take)
    return listener
  }

  async #leave(stand: Stand, drainMs: number): Promise<void> {
    this.#leaving.add(stand)
    const deadline = setTimeout(() => stand.listener.closeNow(), drainMs)
    await stand.listener.drain()
    clearTimeout(deadline)
    this.#leaving.delete(stand)
    await stand.closing.disposeAsync()
  }
}
