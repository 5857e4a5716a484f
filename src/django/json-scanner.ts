/** Python's `sys.int_max_str_digits`: `json.loads` refuses a longer integer, so for Django such a session is broken. */
const MAX_INTEGER_DIGITS = 4300

/** `"` */
export const QUOTE = 0x22
/** `,` */
export const COMMA = 0x2c
/** `{` */
export const OPEN_BRACE = 0x7b
/** `[` */
export const OPEN_BRACKET = 0x5b
const CLOSE_BRACE = 0x7d
const CLOSE_BRACKET = 0x5d
const COLON = 0x3a
const BACKSLASH = 0x5c
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const LOWER_F = 0x66
const LOWER_N = 0x6e
const LOWER_T = 0x74
const LOWER_U = 0x75
const UPPER_I = 0x49
const UPPER_N = 0x4e

export interface ScanLimits {
  /** How many objects and arrays may be open at once; `{}` alone needs 1. */
  readonly maxDepth: number
  /** What a key that comes twice in one object, at any depth, means: `last` wins as in Python, or the text is `refuse`d. */
  readonly duplicateKeys: 'last' | 'refuse'
}

/**
 * Walks once over JSON text, as Python's `json.loads` reads it, and tells where things end; it builds nothing. That is
 * what keeps `1.0`, `1E5`, `\/` and integers above 2^53 alive: a value that nobody touches is a slice of the text.
 *
 * Python's reading differs from `JSON.parse` in two points: `NaN`, `Infinity` and `-Infinity` are values, and an integer
 * of more than 4300 digits is an error.
 *
 * Every method that returns a boolean moves `at` behind what it names and returns true, or returns false, and then the
 * text is malformed and `at` means nothing. The walk is linear in the length of the text. It recurses per level, but a
 * level beyond `maxDepth` is refused before it is entered, so no text can overflow the stack.
 */
export class JsonScanner {
  readonly text: string
  /** Index of the next UTF-16 unit. */
  at = 0
  /**
   * True once something was met that Python's compact ASCII form does not have: white space between the tokens, or a
   * character outside 0x20-0x7e. As long as it is false, every slice is already what `json.dumps` would let stand.
   */
  isLoose = false
  readonly #limits: ScanLimits
  #depth = 0

  constructor(text: string, limits: ScanLimits) {
    this.text = text
    this.#limits = limits
  }

  /** True if the text is one value and nothing else, with white space around it allowed. Call it on a fresh scanner. */
  skipDocument(): boolean {
    this.skipSpace()
    if (!this.skipValue()) return false
    this.skipSpace()
    return this.isAtEnd()
  }

  isAtEnd(): boolean {
    return this.at === this.text.length
  }

  /** Moves over the four characters that JSON calls white space; anything else that Unicode calls so is an error. */
  skipSpace(): void {
    const { text } = this
    let { at } = this
    for (;;) {
      const code = text.charCodeAt(at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) break
      at++
    }
    if (at === this.at) return
    this.at = at
    this.isLoose = true
  }

  /** The next UTF-16 unit, NaN at the end. */
  peek(): number {
    return this.text.charCodeAt(this.at)
  }

  take(unit: number): boolean {
    if (this.text.charCodeAt(this.at) !== unit) return false
    this.at++
    return true
  }

  skipValue(): boolean {
    switch (this.peek()) {
      case QUOTE:
        return this.skipString()
      case OPEN_BRACE:
        return this.#limits.duplicateKeys === 'refuse' ? this.#skipUniqueMembers() : this.eachMember(this.#skip)
      case OPEN_BRACKET:
        return this.eachElement(this.#skip)
      case LOWER_T:
        return this.#skipWord('true')
      case LOWER_F:
        return this.#skipWord('false')
      case LOWER_N:
        return this.#skipWord('null')
      case UPPER_N:
        return this.#skipWord('NaN')
      case UPPER_I:
        return this.#skipWord('Infinity')
      default:
        return this.#skipNumber()
    }
  }

  /** `strict=True` of Python: a control character inside a string must be escaped. */
  skipString(): boolean {
    const { text } = this
    let { at } = this
    if (text.charCodeAt(at) !== QUOTE) return false
    for (;;) {
      const code = text.charCodeAt(++at)
      if (code === QUOTE) break
      if (code === BACKSLASH) {
        const length = escapeLength(text, at)
        if (length === 0) return false
        at += length - 1
        // Negated, because it is to catch the NaN at the end of the text too.
      } else if (!(code >= 0x20)) {
        return false
      } else if (code > 0x7e) {
        this.isLoose = true
      }
    }
    this.at = at + 1
    return true
  }

  /**
   * Walks over the object at `at`. `visit` gets the bounds of each key, quotes included, with `at` on the value, and
   * must move over it.
   */
  eachMember(visit: (keyStart: number, keyEnd: number) => boolean): boolean {
    if (!this.#open(OPEN_BRACE)) return false
    if (this.take(CLOSE_BRACE)) return this.#close()
    for (;;) {
      const keyStart = this.at
      if (!this.skipString()) return false
      const keyEnd = this.at
      this.skipSpace()
      if (!this.take(COLON)) return false
      this.skipSpace()
      if (!visit(keyStart, keyEnd)) return false
      this.skipSpace()
      if (this.take(CLOSE_BRACE)) return this.#close()
      if (!this.take(COMMA)) return false
      this.skipSpace()
    }
  }

  /** Walks over the array at `at`. `visit` gets each element's index, with `at` on the element, and must move over it. */
  eachElement(visit: (index: number) => boolean): boolean {
    if (!this.#open(OPEN_BRACKET)) return false
    if (this.take(CLOSE_BRACKET)) return this.#close()
    for (let index = 0; ; index++) {
      if (!visit(index)) return false
      this.skipSpace()
      if (this.take(CLOSE_BRACKET)) return this.#close()
      if (!this.take(COMMA)) return false
      this.skipSpace()
    }
  }

  /** The string whose literal, quotes included, stands between two positions that a method here has given out. */
  decodeString(start: number, end: number): string {
    const inner = this.text.slice(start + 1, end - 1)
    // A literal that was walked over is one for JSON.parse too: only NaN, Infinity and numbers are read differently.
    return inner.includes('\\') ? String(JSON.parse(this.text.slice(start, end))) : inner
  }

  readonly #skip = (): boolean => this.skipValue()

  #skipUniqueMembers(): boolean {
    const seen = new Set<string>()
    return this.eachMember((keyStart, keyEnd) => {
      const key = this.decodeString(keyStart, keyEnd)
      if (seen.has(key)) return false
      seen.add(key)
      return this.skipValue()
    })
  }

  #open(bracket: number): boolean {
    if (this.#depth >= this.#limits.maxDepth || !this.take(bracket)) return false
    this.#depth++
    this.skipSpace()
    return true
  }

  #close(): boolean {
    this.#depth--
    return true
  }

  #skipWord(word: string): boolean {
    if (!this.text.startsWith(word, this.at)) return false
    this.at += word.length
    return true
  }

  /** `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?`, or `-Infinity`. */
  #skipNumber(): boolean {
    const { text } = this
    const start = text.charCodeAt(this.at) === MINUS ? this.at + 1 : this.at
    let at = text.charCodeAt(start) === ZERO ? start + 1 : digitsEnd(text, start)
    if (at === start) return this.#skipWord('-Infinity')
    const integerEnd = at
    if (text.charCodeAt(at) === POINT) {
      const fraction = at + 1
      at = digitsEnd(text, fraction)
      if (at === fraction) return false
    }
    if ((text.charCodeAt(at) | 0x20) === 0x65) {
      const sign = text.charAt(at + 1)
      const exponent = sign === '+' || sign === '-' ? at + 2 : at + 1
      at = digitsEnd(text, exponent)
      if (at === exponent) return false
    }
    if (at === integerEnd && at - start > MAX_INTEGER_DIGITS) return false
    this.at = at
    return true
  }
}

/** Length of the escape sequence whose backslash stands at `at`, 0 if it is none. */
function escapeLength(text: string, at: number): number {
  const code = text.charCodeAt(at + 1)
  if (code !== LOWER_U) return '"\\/bfnrt'.includes(text.charAt(at + 1) || ' ') ? 2 : 0
  for (let digit = at + 2; digit < at + 6; digit++) if (!isHexDigit(text.charCodeAt(digit))) return 0
  return 6
}

function isHexDigit(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x66)
}

function digitsEnd(text: string, start: number): number {
  let at = start
  for (;;) {
    const code = text.charCodeAt(at)
    if (!(code >= 0x30 && code <= 0x39)) return at
    at++
  }
}
