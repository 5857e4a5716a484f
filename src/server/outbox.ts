import type { ServerResponse } from 'node:http'

interface Parcel {
  readonly response: ServerResponse
  readonly body: string
  /** It has been handed to the connection. */
  readonly onSent: () => void
}

/**
 * Lets whole answers leave together, when the event loop has dealt with everything that had arrived. Each write to an
 * idle browser or proxy makes the system wake somebody, which costs as much as a quarter of the request; of several
 * writes in a row the first wakes, and the others find everybody up. At low load the loop has nothing else to do, and an
 * answer is held back by some microseconds.
 */
export class Outbox {
  #parcels: Parcel[] = []

  /** Ends a response whose head is set. `body`: one character a byte. */
  send(parcel: Parcel): void {
    if (this.#parcels.length === 0) setImmediate(this.#flush)
    this.#parcels.push(parcel)
  }

  readonly #flush = (): void => {
    const parcels = this.#parcels
    this.#parcels = []
    for (const { response, body, onSent } of parcels) {
      try {
        response.end(body, 'latin1')
        onSent()
      } catch {
        // The others must leave all the same.
        response.destroy()
      }
    }
  }
}
