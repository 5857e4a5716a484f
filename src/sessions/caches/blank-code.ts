/** The four characters that JSON takes for white space (RFC 8259, section 2), each worth two bits. */
const blanks = Buffer.from(' \t\n\r', 'latin1')

/**
 * Bytes as white space, four characters a byte. Behind a JSON text or behind the STOP of a pickle it is there for those
 * who know, and nothing to Python's `json.loads` and `pickle.loads`.
 */
export function blanksOf(bytes: Uint8Array): Uint8Array {
  const text = Buffer.alloc(bytes.length * 4)
  for (const [at, byte] of bytes.entries()) {
    for (let i = 0; i < 4; i++) text[at * 4 + i] = blanks[(byte >> (6 - 2 * i)) & 3] ?? 0
  }
  return text
}

/** The bytes that {@link blanksOf} made into white space; undefined for what it did not make. */
export function parseBlanks(text: Uint8Array): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined
  const bytes = Buffer.alloc(text.length / 4)
  for (const [at, character] of text.entries()) {
    const bits = blanks.indexOf(character)
    if (bits === -1) return undefined
    bytes[at >> 2] = ((bytes[at >> 2] ?? 0) << 2) | bits
  }
  return bytes
}
