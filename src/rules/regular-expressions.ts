/** The longest pattern that is looked at, in characters. */
const MAX_PATTERN_LENGTH = 200

/**
 * The length of text for which the worst case is reckoned: the default bound of a session's JSON; paths and headers are
 * shorter. Patterns that pass grow at most linearly with it, so a larger `session.max_bytes` makes none of them dangerous.
 */
const TEXT_LENGTH = 65_536

/** Steps of a backtracking matcher that one `matches` may take at worst: some hundredths of a second. */
const MAX_STEPS = 2 ** 24

/** What a part of a pattern costs a backtracking matcher at worst. */
interface Cost {
  /** In how many ways it can be matched from one starting place. */
  readonly ways: number
  /** How many characters it compares at most on one of these ways, repetitions without an end counted once. */
  readonly length: number
}

/**
 * Why a pattern may not stand in `matches`, or `undefined` if it may.
 *
 * JavaScript's matcher backtracks, so a pattern such as `(a+)+$` takes longer than the sun will last on forty characters
 * that somebody else has chosen, and while it runs, nobody is served. So a pattern is accepted only if its worst case can
 * be told and is small: parts in a row multiply their ways, alternatives add them, and `X{n,m}` has as many as the sum of
 * `ways(X)` to the power of n, … m. Without `^` in front, every place of the text is a start of its own. Whatever this
 * small grammar does not know (look-around, back-references, flags, classes by name) is refused, also because JavaScript
 * and the RE2 of CEL's standard differ there.
 */
export function patternProblem(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN_LENGTH) return `a pattern has at most ${MAX_PATTERN_LENGTH} characters`
  if (/[^ -~\u00a0-\ud7ff\ue000-\ufffd]/.test(pattern))
    return 'a pattern has no controls and no characters beyond U+FFFF'
  const reader = new PatternReader(pattern)
  const cost = reader.readAlternatives()
  if (cost === undefined || !reader.isAtEnd()) return `cannot judge the pattern from position ${reader.at} on`
  try {
    new RegExp(pattern)
  } catch {
    return 'it is not a regular expression'
  }
  const starts = reader.isAnchored ? 1 : TEXT_LENGTH
  if (cost.ways * Math.max(cost.length, 1) * starts <= MAX_STEPS) return undefined
  return 'it may take too long: begin it with "^", use at most one of "*", "+" and "{n,}", and bound the others, as in "{1,64}"'
}

class PatternReader {
  /** Index of the next character. */
  at = 0
  /** False once an alternative was met that does not begin with `^`. */
  isAnchored = true
  readonly #pattern: string
  #openGroups = 0

  constructor(pattern: string) {
    this.#pattern = pattern
  }

  isAtEnd(): boolean {
    return this.at === this.#pattern.length
  }

  /** Reads up to the end or to the `)` that closes the group; undefined if there is something that it does not know. */
  readAlternatives(): Cost | undefined {
    let ways = 0
    let length = 0
    do {
      const sequence = this.#readSequence()
      if (sequence === undefined) return undefined
      ways += sequence.ways
      length = Math.max(length, sequence.length)
    } while (this.#take(/\|/y))
    return { ways, length }
  }

  #readSequence(): Cost | undefined {
    if (this.#take(/\^/y) === undefined && this.#openGroups === 0) this.isAnchored = false
    let ways = 1
    let length = 0
    while (!this.isAtEnd() && this.#take(/(?=[|)])/y) === undefined) {
      const item = this.#readItem()
      if (item === undefined) return undefined
      ways *= item.ways
      length += item.length
    }
    return { ways, length }
  }

  #readItem(): Cost | undefined {
    if (this.#take(/\$|\\[bB]/y) !== undefined) return { ways: 1, length: 1 }
    const atom = this.#take(/\((?:\?:)?(?!\?)/y) === undefined ? this.#readCharacter() : this.#readGroup()
    return atom && this.#readRepetition(atom)
  }

  #readGroup(): Cost | undefined {
    this.#openGroups++
    const inside = this.readAlternatives()
    this.#openGroups--
    return this.#take(/\)/y) === undefined ? undefined : inside
  }

  /** A literal, a dot, an escape or a class. Escapes are those that mean the same in JavaScript and in RE2. */
  #readCharacter(): Cost | undefined {
    const literal = /[^\\^$*+?()[\]{}|]/y
    const escaped = /\\(?:[dDwWsStrnfv]|[!-/:-@[-`{-~])/y
    const charClass = /\[(?:\^|(?!\^))(?:[^\\[\]]|\\[dDwWsStrnfv]|\\[!-/:-@[-`{-~])+\]/y
    const isRead = [literal, escaped, charClass].some((kind) => this.#take(kind) !== undefined)
    return isRead ? { ways: 1, length: 1 } : undefined
  }

  #readRepetition(atom: Cost): Cost {
    const found = this.#take(/(?:[*+?]|\{\d{1,4}(?:,\d{0,4})?\})\??/y)
    if (found === undefined) return atom
    const [least, most] = bounds(found)
    let ways = 0
    // With one way only, every further repetition adds one; with more, the sum soon exceeds every bound.
    if (atom.ways === 1) ways = most - least + 1
    else for (let times = least; times <= most && ways <= MAX_STEPS; times++) ways += atom.ways ** times
    return { ways, length: atom.length * Math.max(least, 1) }
  }

  #take(kind: RegExp): string | undefined {
    kind.lastIndex = this.at
    const found = kind.exec(this.#pattern)?.[0]
    this.at += found?.length ?? 0
    return found
  }
}

function bounds(repetition: string): [least: number, most: number] {
  if (repetition.startsWith('*')) return [0, TEXT_LENGTH]
  if (repetition.startsWith('+')) return [1, TEXT_LENGTH]
  if (repetition.startsWith('?')) return [0, 1]
  const [least = '', most] = repetition.replace(/[{}?]/g, '').split(',')
  return [Number(least), most === undefined ? Number(least) : most === '' ? TEXT_LENGTH : Number(most)]
}
