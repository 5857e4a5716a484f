/**
 * Lets everything wait until the event loop has had a whole look at the sockets, and starts it then.
 *
 * What is guaranteed: between `add` and `start` lies one poll of all sockets that began after `add`. So whatever had
 * reached this machine when a kept connection was taken for a request (an answer to nothing, a FIN, a reset) has been
 * read by its owner before the request is written, and the connection is not used. One turn would not do: a poll that
 * had begun before the bytes came does not see them. What comes after that poll can still be taken for the answer by
 * anyone who speaks HTTP/1.1; no client can tell it apart.
 *
 * All that is added within one turn of the loop shares two callbacks, so it costs time, two turns, but next to no work.
 */
export class LookedAt {
  #added: Startable[] = []
  #seen: Startable[] = []
  #isWaiting = false

  add(job: Startable): void {
    this.#added.push(job)
    if (this.#isWaiting) return
    this.#isWaiting = true
    setImmediate(this.#onTurn)
  }

  readonly #onTurn = (): void => {
    const ready = this.#seen
    this.#seen = this.#added
    this.#added = []
    this.#isWaiting = this.#seen.length > 0
    if (this.#isWaiting) setImmediate(this.#onTurn)
    for (const job of ready) job.start()
  }
}

export interface Startable {
  /** Must not throw. */
  start(): void
}
