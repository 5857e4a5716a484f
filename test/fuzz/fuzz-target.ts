/** Something that reads bytes of strangers, and what has to hold whatever they are. */
export interface FuzzTarget {
  /** Also the name of its file in `corpus/`. */
  readonly name: string
  /** Where the search starts; one character a byte. */
  readonly seeds: readonly string[]
  /** Pieces that chance alone would rarely make; one character a byte. */
  readonly dictionary: readonly string[]
  /** Throws when the promise is broken. What the reader refuses is fine, as long as it refuses in its own way. */
  check(bytes: Buffer): void | Promise<void>
}

/** `name: value` lines as the flat list that the gateway works on; what has no colon is a name without a value. */
export function headerLines(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const at = line.indexOf(':')
    return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1).trim()]
  })
}

/** The value, or undefined if it was refused by one of those codes; every other error is a broken promise. */
export function unlessRefused<T>(codes: readonly string[], read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof Error && 'code' in error && codes.includes(String(error.code))) return undefined
    throw error
  }
}
