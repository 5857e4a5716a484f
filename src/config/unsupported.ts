import type { Remark } from './checks/context.ts'
import type { Path } from './path.ts'
import type { FileConfig } from './schema/file.ts'

/** A part of the format that this version does not act on. Delete the entry with the version that does. */
export interface Gap {
  /** Where the file uses it; empty if it does not. */
  readonly find: (file: FileConfig) => Path[]
  readonly remark: Remark
}

/** Warnings: nothing is less safe without these. */
export const withoutEffect: readonly Gap[] = [
  {
    find: ({ admin, workers }) =>
      when(workers !== 1 && admin !== 'off' && admin.token !== undefined, ['admin', 'token']),
    remark: {
      message: 'admin.token is without effect with more than one worker in this version: there is no /api then',
      hint: 'remove it, or write workers: 1',
      atKey: true,
    },
  },
]

function when(isUsed: boolean, path: Path): Path[] {
  return isUsed ? [path] : []
}
