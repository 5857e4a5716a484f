import type { Path } from './path.ts'

/** Start and end in the file's text, in UTF-16 units; the end is not part of it. */
export type Range = readonly [start: number, end: number]

/** What is wrong, where by path, and the way out; not yet a line and column. */
export interface Finding {
  readonly severity: 'error' | 'warning'
  /** The value in question. If the file does not have it, the nearest one above is shown. */
  readonly path: Path
  /** Point at the key instead of the value. */
  readonly atKey?: boolean
  /** For findings about the text itself; wins over `path`. */
  readonly range?: Range
  /** The value may be a secret under a key that is not known to hold one: no excerpt shows it. */
  readonly hidesValue?: boolean
  /** One sentence without a full stop. Never a secret, never a substituted value. */
  readonly message: string
  /** The way out, one sentence without a full stop. */
  readonly hint?: string
}
