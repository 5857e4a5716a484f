import type { Remark } from './checks/context.ts'
import type { Path } from './path.ts'
import type { FileConfig } from './schema/file.ts'

/** A part of the format that this version does not act on. Delete the entry with the version that does. */
export interface Gap {
  /** Where the file uses it; empty if it does not. */
  readonly find: (file: FileConfig) => Path[]
  readonly remark: Remark
}

const notYet = 'is not supported by this version'

/** Errors: a gateway that left these out would do something else than the file says. */
export const unsupported: readonly Gap[] = [
  {
    find: (file) => when(file.workers !== 1, ['workers']),
    remark: { message: `more than one worker ${notYet}`, hint: 'write workers: 1' },
  },
]

/** Warnings: nothing is less safe without these. */
export const withoutEffect: readonly Gap[] = []

function when(isUsed: boolean, path: Path): Path[] {
  return isUsed ? [path] : []
}
