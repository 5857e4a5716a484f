/** How many bytes an integer of 4300 digits has, the longest that Python's `json` reads or writes. */
export const MAX_LONG_BYTES = 1786

/** Python's `pickle.encode_long`: two's complement, little-endian, no longer than it must be to show the sign. */
export function longBytes(value: bigint): Buffer {
  if (value === 0n) return Buffer.alloc(0)
  // The bits that differ from the sign, and the sign.
  const magnitude = value < 0n ? ~value : value
  const bitCount = magnitude === 0n ? 1 : magnitude.toString(2).length + 1
  const byteCount = Math.ceil(bitCount / 8)
  const unsigned = BigInt.asUintN(byteCount * 8, value)
  return Buffer.from(unsigned.toString(16).padStart(byteCount * 2, '0'), 'hex').reverse()
}

/** Python's `pickle.decode_long`. */
export function longFromBytes(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n
  const hex = Buffer.from(bytes).reverse().toString('hex')
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${hex}`))
}
