import { unescape as decodeLeniently } from 'node:querystring'

/** Characters of two bytes or more for what fits into one, which old decoders take for `/` and the like (RFC 3629, section 3). */
const overlongUtf8 = /%(?:25)*(?:C[01]|E0%(?:25)*[89]|F0%(?:25)*8)/i

/** What the guard has to know: the parameter's name, and which values may pass. */
export interface NextGuardRules {
  readonly nextParam: string
  /** Judges a value as the app will see it, decoded once. */
  readonly isSafe: (value: string) => boolean
}

/**
 * Compiles the guard of a login page's return parameter: a function that takes a query (`''`, or from the `?` on) and
 * gives it back with every unsafe value of the parameter replaced by `/`. All other bytes stay as they are.
 *
 * Which parameter an app reads depends on its framework, so every spelling counts that some framework takes for the name,
 * and every occurrence, because one takes the first and another the last: encoded once or twice (`%6eext`), in other
 * letter case (ASP.NET), as an array (`next[]`: PHP, Rails, qs), cut at an encoded NUL or with space around it, `.` and
 * space for `_` (PHP); pairs are separated by `&`, and to some by `;` as well.
 */
export function compileNextGuard({ nextParam, isSafe }: NextGuardRules): (query: string) => string {
  const wanted = spellingsOf(nextParam)

  function guardPair(pair: string): string {
    const equals = pair.indexOf('=')
    const name = equals < 0 ? pair : pair.slice(0, equals)
    if (spellingsOf(name).isDisjointFrom(wanted)) return pair
    const isSafePair = equals >= 0 && readingsOf(pair.slice(equals + 1)).every(isSafe) && !overlongUtf8.test(pair)
    return isSafePair ? pair : `${name}=/`
  }

  return (query) => {
    if (query === '') return query
    // As who splits at `;` reads a pair, and then as who does not: what the first step puts in may join what follows it.
    const pairs = query.slice(1).split('&')
    return `?${pairs.map((pair) => guardPair(pair.split(';').map(guardPair).join(';'))).join('&')}`
  }
}

/** The names that a query's name can stand for: as a whole, and as the name of an array. */
function spellingsOf(name: string): ReadonlySet<string> {
  const once = decodeLeniently(name.replaceAll('+', ' '))
  const decoded = [once, decodeLeniently(once)]
  return new Set(decoded.flatMap((text) => [plainName(text), plainName(text.replace(/\[.*/s, ''))]))
}

function plainName(name: string): string {
  return name
    .replace(/\0.*/s, '')
    .replace(/^[\s?]+|\s+$/g, '')
    .replace(/[\s.[]/g, '_')
    .toLowerCase()
}

/** A value decoded once; a plus is a space in a form and a plus elsewhere. */
function readingsOf(value: string): readonly string[] {
  return [value, value.replaceAll('+', ' ')].map(decodeLeniently)
}
