import type { ChangeListener, ChangeNotices, NoticesState } from './change-notices.ts'
import { type Scheduler, systemScheduler } from './scheduler.ts'

/** `changed`: that session was changed, or has ended. `perhaps`: any session may have been. */
export type SessionNotice = 'changed' | 'perhaps'

/** Tells `listener` of changes of the session under `key`. Returns the way to stop. */
export type WatchSession = (key: string, listener: (notice: SessionNotice) => void) => () => void

/** A line of notices with more than one listener. */
export interface WatchedNotices extends ChangeNotices {
  /** Tells of changes by anybody, after the listener that was set: what that one remembers is forgotten by then. */
  readonly watch: WatchSession
}

/** How often a line is asked while somebody watches. One that must be asked (SQLite) tells nothing by itself. */
const ASK_MS = 500

/** Lets whoever holds on to a session hear what a line tells of it. Owns the line. */
export function watchNotices(notices: ChangeNotices, scheduler: Scheduler = systemScheduler): WatchedNotices {
  return new SharedLine(notices, scheduler)
}

class SharedLine implements WatchedNotices {
  readonly #notices: ChangeNotices
  readonly #scheduler: Scheduler
  /** By the name that notices use. */
  readonly #watchers = new Map<string, Set<(notice: SessionNotice) => void>>()
  #stopAsking: (() => void) | undefined

  constructor(notices: ChangeNotices, scheduler: Scheduler) {
    this.#notices = notices
    this.#scheduler = scheduler
  }

  nameOf(key: string): string {
    return this.#notices.nameOf(key)
  }

  isCurrent(): boolean {
    return this.#notices.isCurrent()
  }

  listen(listener: ChangeListener): void {
    this.#notices.listen({
      changed: (name) => {
        listener.changed(name)
        for (const tell of this.#watchers.get(name) ?? []) tell('changed')
      },
      everythingChanged: () => {
        listener.everythingChanged()
        for (const listeners of this.#watchers.values()) for (const tell of listeners) tell('perhaps')
      },
    })
  }

  onState(listener: (state: NoticesState) => void): void {
    this.#notices.onState(listener)
  }

  readonly watch: WatchSession = (key, listener) => {
    const name = this.#notices.nameOf(key)
    const listeners = this.#watchers.get(name) ?? new Set()
    this.#watchers.set(name, listeners.add(listener))
    this.#keepAsking()
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.#watchers.get(name) === listeners) this.#watchers.delete(name)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watchers.clear()
    this.#stopAsking?.()
    await this.#notices[Symbol.asyncDispose]()
  }

  #keepAsking(): void {
    this.#stopAsking ??= this.#scheduler.after(ASK_MS, () => {
      this.#stopAsking = undefined
      if (this.#watchers.size === 0) return
      this.#notices.isCurrent()
      this.#keepAsking()
    })
  }
}
