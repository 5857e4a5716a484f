import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** After so many streamed bytes their remains are collected. */
const COLLECT_EVERY_BYTES = 16 * 1024 * 1024

/** Told how many bytes have passed through the process. */
export type ChunkMeter = (bytes: number) => void

/**
 * Keeps the memory of streams bounded. Every chunk that passes is a buffer outside of V8's heap, dead as soon as it is
 * written; V8 sees only the small object that points to it, and lets 64 MiB and more of them pile up before it looks. A
 * collection of the young generation finds them all, takes about a millisecond, and is asked for once every 16 MiB.
 *
 * @param collect Default: V8's own `gc` for the young generation.
 */
export function createChunkMeter(collect: () => void = youngCollector()): ChunkMeter {
  let passed = 0
  return function count(bytes) {
    passed += bytes
    if (passed < COLLECT_EVERY_BYTES) return
    passed = 0
    collect()
  }
}

/** Node has no call for it; V8 gives the function to contexts that are made after the flag is set, and to no others. */
function youngCollector(): () => void {
  setFlagsFromString('--expose-gc')
  const gc: unknown = runInNewContext('gc')
  setFlagsFromString('--no-expose-gc')
  return typeof gc === 'function' ? () => void gc({ type: 'minor' }) : () => undefined
}
