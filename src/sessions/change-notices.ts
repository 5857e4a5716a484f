/** What is told by a line of notices. */
export interface ChangeListener {
  /** The session that the line calls `name` was changed, or has ended. May also be told of changes by this process. */
  readonly changed: (name: string) => void
  /** Anything may have changed: everything in memory is to be forgotten, and no read under way is to be kept. */
  readonly everythingChanged: () => void
}

/** Whether a line of notices stands, for the log and for readiness. `reason` says why not, without secrets. */
export type NoticesState = { readonly isUp: true } | { readonly isUp: false; readonly reason: string }

/**
 * Tells of every change of a session in the store, whoever makes it: another gateway, Django, somebody with a client of
 * the store. What has been read may be served from memory only while such a line stands.
 *
 * The line repairs itself in the background. When it breaks, `everythingChanged` is told before `isCurrent` is true again.
 */
export interface ChangeNotices extends AsyncDisposable {
  /** How notices call the session with that key: the key itself, what a cache calls it, a digest. Pure. */
  nameOf(key: string): string
  /**
   * True if every change that was answered longer than the line's lease ago has been told. Asked before memory is
   * believed and around each read, so it does no I/O but a look at a local file; it may call the listener before it returns.
   */
  isCurrent(): boolean
  /** Sets who is told. There is one; the line does nothing before it is set. */
  listen(listener: ChangeListener): void
  /** Told at once of the state at hand, then once per change. */
  onState(listener: (state: NoticesState) => void): void
}
