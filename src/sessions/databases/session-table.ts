import type { EpochMs } from '../../lib/clock.ts'

/** A row as the database has it now. */
export interface StoredRow {
  /** `session_data`; undefined when it is not text, or longer than a session can be. */
  readonly text: string | undefined
  /** `expire_date`; undefined when it is no date. */
  readonly expiresAt: EpochMs | undefined
  /** Decided by the database with its own comparison, as Django has it: `expire_date > now` is what lives. */
  readonly isExpired: boolean
}

export interface ListedRow extends StoredRow {
  readonly key: string
}

/** What is written. */
export interface NewRow {
  readonly text: string
  readonly expiresAt: EpochMs
}

/** What becomes of a row. `move` inserts the new row and removes the old one together. */
export type RowChange =
  | { readonly kind: 'keep' }
  | { readonly kind: 'update'; readonly row: NewRow }
  | { readonly kind: 'move'; readonly key: string; readonly row: NewRow }
  | { readonly kind: 'delete' }

export interface RowDecision<T> {
  readonly change: RowChange
  /** Handed back to the caller when the change is committed. */
  readonly result: T
}

/**
 * Django's table `django_session` in one database: what the `db` engine stands on. It knows columns and transactions,
 * nothing of signatures or expiry rules. "No such row" is `undefined`; expired rows are found like any other.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` from any method, with the driver's error as `cause`.
 */
export interface SessionTable extends AsyncDisposable {
  find(key: string): Promise<StoredRow | undefined>
  /** Insert only; false if the key is taken, also by an expired row. */
  insert(key: string, row: NewRow): Promise<boolean>
  /**
   * Reads, decides and writes in one transaction that no other writer can come between. `decide` is called with the row
   * as it is now; if it throws, nothing is written and its error comes out unchanged. It may be called again when the
   * transaction could not be committed. Undefined if a `move` met a key that is taken; then nothing was written.
   */
  change<T>(key: string, decide: (row: StoredRow | undefined) => RowDecision<T>): Promise<T | undefined>
  /** Every row that has not expired, page by page, so that a long listing holds no lock. */
  rows(): AsyncIterable<ListedRow>
  /** Deletes at most `limit` expired rows in one statement and returns how many. */
  deleteExpired(limit: number): Promise<number>
  /** How many expired rows there are; `limit` if there are more. */
  countExpired(limit: number): Promise<number>
  /** Resolves when the table can be read. */
  ping(): Promise<void>
}
