import type { EpochMs } from '../../lib/clock.ts'
import { blanksOf, parseBlanks } from './blank-code.ts'

/** What the gateway knows of a value that it read from the database and put into the cache. */
export interface Seal {
  /** When the session's row ends. */
  readonly expiresAt: EpochMs
  /** A moment at which the row is known to have held this: just before it was read. */
  readonly readAt: EpochMs
}

export interface SealedValue extends Seal {
  /** The value as Django reads it. */
  readonly body: Uint8Array
}

/** So many bytes make a seal unlike every other, also of the same session read twice in a millisecond. */
export const SEAL_NONCE_BYTES = 6

/** Begins every seal, so that white space of another origin is not taken for one. */
const MAGIC = 0xa7c3
const DATE_BYTES = 6
const SEAL_BYTES = 2 + 2 * DATE_BYTES + SEAL_NONCE_BYTES
const TAIL_LENGTH = SEAL_BYTES * 4
const LAST_DATE = 2 ** (8 * DATE_BYTES) - 1

/**
 * A value with its seal behind it, in white space that Django does not see. A seal keeps out no attacker, since who may
 * write the cache is trusted; it tells our values from Django's. Undefined for dates outside 1970-10889.
 */
export function sealValue(body: Uint8Array, { expiresAt, readAt }: Seal, nonce: Uint8Array): Uint8Array | undefined {
  if (![expiresAt, readAt].every((at) => Number.isInteger(at) && at >= 0 && at <= LAST_DATE)) return undefined
  const seal = Buffer.alloc(SEAL_BYTES)
  seal.writeUInt16BE(MAGIC, 0)
  seal.writeUIntBE(expiresAt, 2, DATE_BYTES)
  seal.writeUIntBE(readAt, 2 + DATE_BYTES, DATE_BYTES)
  seal.set(nonce.subarray(0, SEAL_NONCE_BYTES), 2 + 2 * DATE_BYTES)
  return Buffer.concat([body, blanksOf(seal)])
}

/** The seal of a value and what stands before it; undefined if there is none. */
export function parseSealed(bytes: Uint8Array): SealedValue | undefined {
  if (bytes.length <= TAIL_LENGTH) return undefined
  const tail = parseBlanks(bytes.subarray(-TAIL_LENGTH))
  const seal = tail && Buffer.from(tail)
  if (seal?.readUInt16BE(0) !== MAGIC) return undefined
  return {
    body: bytes.subarray(0, -TAIL_LENGTH),
    expiresAt: seal.readUIntBE(2, DATE_BYTES),
    readAt: seal.readUIntBE(2 + DATE_BYTES, DATE_BYTES),
  }
}
