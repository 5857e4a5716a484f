import type { Path } from '../path.ts'
import type { FileConfig } from '../schema/file.ts'

/** Where a finding points, beside its path. */
export interface Remark {
  readonly message: string
  /** The way out. */
  readonly hint?: string
  /** Point at the key instead of the value. */
  readonly atKey?: boolean
}

/** What a check looks at, and how it speaks. Paths are those of `file`. */
export interface CheckContext {
  readonly file: FileConfig
  /** True if something there was refused before, so that a conclusion from it may be wrong. */
  isUnsure(path: Path): boolean
  /** True if the file says it itself, and not by a default. */
  isWritten(path: Path): boolean
  /** The text in quotes, or `the value of ${…}` where it was substituted: that may be a secret put in the wrong place. */
  quote(path: Path, text: string): string
  error(path: Path, remark: Remark): void
  warn(path: Path, remark: Remark): void
}

/** One kind of mistake that only several parts of the file together can make. */
export type Check = (context: CheckContext) => void
