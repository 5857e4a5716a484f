/** Of open files, for what is neither a client nor an app: stores, logs, certificates, the operator's listener. */
const RESERVED = 128

/** Room for the sockets of one upstream, out of what all upstreams share. */
export interface SocketRoom {
  /** One more socket; false if there is no room for it. */
  take(): boolean
  /** One is closed. */
  free(): void
  /**
   * Whoever keeps unused connections may be asked to close one for somebody else. Returns the way out; without anybody in
   * it a room has no share.
   */
  addKeeper(closeUnused: () => boolean): () => void
}

/**
 * Who may have how many of the files that a process may have open. Without it a crowd at one side leaves nothing for the
 * other: connections to an app that hangs would keep out every new client, and clients that only sit there would keep
 * those who ask from reaching an app.
 *
 * Half of what is left after the reserve is the most that goes to apps, and an eighth of it the least. What is not used by
 * one side may be used by the other up to these bounds. Of the apps' part a quarter is divided evenly among the upstreams,
 * so that one that hangs does not take the others along.
 */
export class DescriptorBudget {
  readonly #total: number
  readonly #maxClients: number
  readonly #maxUpstream: number
  readonly #rooms = new Set<Room>()
  #clients = 0
  #upstream = 0

  /** `openFiles`: how many the process may have open; undefined = any number, and then so may each side. */
  constructor(openFiles: number | undefined) {
    const limit = openFiles ?? Number.MAX_SAFE_INTEGER
    this.#total = limit - Math.min(RESERVED, Math.floor(limit / 4))
    this.#maxClients = this.#total - Math.floor(this.#total / 8)
    this.#maxUpstream = Math.floor(this.#total / 2)
  }

  /** Connections of clients that are open. */
  get clients(): number {
    return this.#clients
  }

  /** One more connection of a client; false if there is no room for it. */
  takeClient(): boolean {
    if (this.#clients >= this.#maxClients || !this.#hasRoom()) return false
    this.#clients += 1
    return true
  }

  freeClient(): void {
    this.#clients -= 1
  }

  /** For the sockets of one upstream. */
  openRoom(): SocketRoom {
    const room = new Room()
    return {
      take: () => {
        if (this.#upstream >= this.#maxFor(room) && !this.#closeUnused()) return false
        if (!this.#hasRoom()) return false
        room.held += 1
        this.#upstream += 1
        return true
      },
      free: () => {
        room.held -= 1
        this.#upstream -= 1
      },
      addKeeper: (closeUnused) => {
        room.keepers.add(closeUnused)
        this.#rooms.add(room)
        return () => {
          room.keepers.delete(closeUnused)
          if (room.keepers.size === 0) this.#rooms.delete(room)
        }
      },
    }
  }

  /** How many sockets there may be to all apps, that this one gets another. */
  #maxFor({ held }: Room): number {
    const shared = Math.floor(this.#maxUpstream / 4)
    const isAlone = this.#rooms.size <= 1
    return isAlone || held < Math.floor(shared / this.#rooms.size) ? this.#maxUpstream : this.#maxUpstream - shared
  }

  #hasRoom(): boolean {
    return this.#clients + this.#upstream < this.#total || this.#closeUnused()
  }

  #closeUnused(): boolean {
    for (const { keepers } of this.#rooms) for (const close of keepers) if (close()) return true
    return false
  }
}

class Room {
  held = 0
  readonly keepers = new Set<() => boolean>()
}
