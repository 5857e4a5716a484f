import { accessSync, constants, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** Less would not hold what the tests of one file write. */
const ENOUGH_BYTES = 512 * 1024 * 1024

/**
 * Where a test puts a store of which it does not matter whether it would survive a power loss: in memory, where the system
 * has a file system for that, else in the temporary folder. A store that syncs each of ten thousand writes to a disk
 * takes a minute for them.
 */
export function scratchRoot(): string {
  try {
    accessSync('/dev/shm', constants.W_OK)
    const { bavail, bsize } = statfsSync('/dev/shm')
    return bavail * bsize >= ENOUGH_BYTES ? '/dev/shm' : tmpdir()
  } catch {
    return tmpdir()
  }
}
