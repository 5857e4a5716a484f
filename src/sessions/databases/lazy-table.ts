import type { ListedRow, NewRow, RowDecision, SessionTable, StoredRow } from './session-table.ts'

/**
 * A table that is opened when it is first asked for anything. A database file that is not there yet (a volume that is
 * mounted later, a project whose `migrate` still runs) then fails the calls, not the start, and the next call tries
 * again: all that come meanwhile wait for the same attempt.
 *
 * @param open Rejects with `ERR_STORE_UNAVAILABLE`, saying what is missing.
 */
export function createLazyTable(open: () => Promise<SessionTable>): SessionTable {
  return new LazyTable(open)
}

class LazyTable implements SessionTable {
  readonly #open: () => Promise<SessionTable>
  #opening: Promise<SessionTable> | undefined
  #isClosed = false

  constructor(open: () => Promise<SessionTable>) {
    this.#open = open
  }

  async find(key: string): Promise<StoredRow | undefined> {
    return await (await this.#table()).find(key)
  }

  async insert(key: string, row: NewRow): Promise<boolean> {
    return await (await this.#table()).insert(key, row)
  }

  async change<T>(key: string, decide: (row: StoredRow | undefined) => RowDecision<T>): Promise<T | undefined> {
    return await (await this.#table()).change(key, decide)
  }

  async *rows(): AsyncIterable<ListedRow> {
    yield* (await this.#table()).rows()
  }

  async deleteExpired(limit: number): Promise<number> {
    return await (await this.#table()).deleteExpired(limit)
  }

  async countExpired(limit: number): Promise<number> {
    return await (await this.#table()).countExpired(limit)
  }

  async ping(): Promise<void> {
    await (await this.#table()).ping()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    const table = await this.#opening?.catch(() => undefined)
    await table?.[Symbol.asyncDispose]()
  }

  #table(): Promise<SessionTable> {
    if (this.#opening !== undefined) return this.#opening
    if (this.#isClosed) return Promise.reject(new TypeError('the table is closed'))
    const opening = this.#open()
    this.#opening = opening
    opening.catch(() => {
      this.#opening = undefined
    })
    return opening
  }
}
