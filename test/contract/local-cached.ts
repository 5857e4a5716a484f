import { randomBytes } from 'node:crypto'
import type { ChangeNotices } from '../../src/sessions/change-notices.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import { createLocalCache } from '../../src/sessions/local-cache.ts'
import { until, within } from '../support/deadline.ts'
import type { EngineWorld, OpenStore, StoreUnderTest } from './session-engine-world.ts'

/** A store that tells of changes. */
export interface TellingStore extends Omit<StoreUnderTest, 'connect'> {
  connect(): Promise<{ readonly engine: SessionEngine; readonly notices: ChangeNotices }>
  /** Makes the store tell of something that is no session. Left out where the lines are never late. */
  readonly aside?: Aside
}

export interface Aside {
  /** What lines call the thing with that tag, 32 hex digits. */
  readonly nameOf: (tag: string) => string
  /** Makes the store tell of that name, after all that it had to tell before. */
  readonly tell: (name: string) => Promise<unknown>
}

/**
 * The store with every process's own memory of sessions on top, of which the suite must not see anything. It asks for more
 * than is promised, that a change be seen by the next load of another process; so every change here is answered only when
 * all lines have told what the store told before.
 */
export function locallyCached(open: (world: EngineWorld) => Promise<TellingStore>): OpenStore {
  return async (world) => {
    const { connect, aside, ...store } = await open(world)
    const lines = new Lines()
    const settle = async (): Promise<void> => {
      if (aside !== undefined) await lines.settle(aside)
    }
    world.onAdvance.push(settle)
    return {
      ...store,
      async plant(key, text) {
        await store.plant(key, text)
        await settle()
      },
      async connect() {
        const { engine, notices } = await connect()
        await engine.ping() // a connection that is opened later makes Redis' line begin anew
        const line = lines.overhear(notices)
        const cache = createLocalCache(engine, line, {
          maxAgeMs: 5000,
          maxEntries: 1000,
          clock: world.clock,
        })
        await until('the line stands', () => notices.isCurrent())
        return settled(cache, settle)
      },
    }
  }
}

/** What all processes hear. */
class Lines {
  /** Of each line that is open what is waited for on it, by name. */
  readonly #waiting = new Map<ChangeNotices, Map<string, () => void>>()

  /** The same line, overheard until it is closed. Whoever hears that everything may have changed has heard all. */
  overhear(notices: ChangeNotices): ChangeNotices {
    const waiting = new Map<string, () => void>()
    this.#waiting.set(notices, waiting)
    return {
      nameOf: (key) => notices.nameOf(key),
      isCurrent: () => notices.isCurrent(),
      onState: (listener) => notices.onState(listener),
      listen: ({ changed, everythingChanged }) =>
        notices.listen({
          everythingChanged() {
            everythingChanged()
            for (const hear of waiting.values()) hear()
          },
          changed(name) {
            changed(name)
            waiting.get(name)?.()
          },
        }),
      [Symbol.asyncDispose]: async () => {
        this.#waiting.delete(notices)
        await notices[Symbol.asyncDispose]()
      },
    }
  }

  async settle({ nameOf, tell }: Aside): Promise<void> {
    // One that does not stand tells of everything before it does.
    const lines = [...this.#waiting].flatMap(([notices, waiting]) => (notices.isCurrent() ? [waiting] : []))
    if (lines.length === 0) return
    const name = nameOf(randomBytes(16).toString('hex'))
    const { promise: heard, resolve } = Promise.withResolvers<void>()
    const deaf = new Set(lines)
    for (const line of lines) {
      line.set(name, () => {
        line.delete(name)
        deaf.delete(line)
        if (deaf.size === 0) resolve()
      })
    }
    await tell(name)
    await within('every line to tell', heard)
  }
}

function settled(engine: SessionEngine, settle: () => Promise<void>): SessionEngine {
  const then = async <T>(change: Promise<T>): Promise<T> => {
    try {
      return await change
    } finally {
      await settle()
    }
  }
  return {
    name: engine.name,
    isServerSide: engine.isServerSide,
    lists: engine.lists,
    admits: (cookieValue) => engine.admits(cookieValue),
    load: (key) => engine.load(key),
    create: (data) => engine.create(data),
    adopt: (entry) => then(engine.adopt(entry)),
    transition: (key, decide) => then(engine.transition(key, decide)),
    delete: (key) => then(engine.delete(key)),
    entries: (onUnreadable) => engine.entries(onUnreadable),
    clearExpired: (limit) => then(engine.clearExpired(limit)),
    countExpired: (limit) => engine.countExpired(limit),
    ping: () => engine.ping(),
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  }
}
