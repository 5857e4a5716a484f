/**
 * More readings than this, or more text in them, means a path made to be misread or to keep us busy: each one costs a walk
 * over its characters and a look at the route table. A path in daily use has fewer than ten, and one with parameters,
 * capitals, a final slash and a double encoding about thirty.
 */
const MAX_READINGS = 128
const MAX_READ_CHARACTERS = 131_072

/** A path that every reader reads alike; the cheap and common case. A final slash counts, except in the root. */
const hasOtherReadings = /[A-Z;%]|.\/$|\/\/|\/\.{1,2}(?:\/|$)/

/**
 * A slash, backslash, dot, hash or question mark encoded, also when its percent sign is encoded once more or many times
 * more. To one reader these are characters of a name, to another they end a segment or the path.
 */
const encodedDelimiter = /%(?:25)*(?:2F|5C|2E|23|3F)/i

/**
 * ASCII in an overlong UTF-8 form (`%C0%AF` for `/`), which RFC 3629 forbids and old decoders accept. In each of the three
 * lengths the last two bytes carry the seven bits that matter.
 */
const overlong = /%(?:C[01]|E0%8[01]|F0%80%8[01])%[89AB][0-9A-F]/i

/** What no path means in earnest and some reader acts on: an empty segment, a dot segment, `\`, `#` or `?`. */
const revealedDelimiter = /\/\/|[\\#?]|\/\.{1,2}(?:\/|$)/

const unreserved = /[A-Za-z0-9\-._~]/

/**
 * The normal form of RFC 3986, sections 6.2.2.1 and 6.2.2.2: encoded unreserved characters decoded, other escapes with
 * upper-case digits. This much is the same resource by definition, so rules may compare it and nobody is surprised.
 */
export function canonicalPath(path: string): string {
  return path.replace(/%([0-9A-Fa-f]{2})/g, (written, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16))
    return unreserved.test(character) ? character : written.toUpperCase()
  })
}

/** A path with all the ways in which it can be read. */
export interface PathReadings {
  /** In its normal form. */
  readonly path: string
  /** Some reader finds a delimiter in it that another does not see. */
  readonly ambiguous: boolean
  /** Without `path`, without duplicates. */
  readonly others: readonly string[]
}

/**
 * Every way in which an app may read a path: whatever it reads must not be guarded better than what the rules saw. All
 * combinations of the steps are taken, in every order, because apps stack: a container cuts parameters, then a framework
 * lowers the case, then a router drops the slash.
 *
 * - `;` parameters cut, segment by segment: servlet containers, Spring, JAX-RS.
 * - everything from the first `;` on cut: routers that take it for the beginning of the query (find-my-way and its users).
 * - lower-cased: Windows, Express by default, ASP.NET. With Unicode's folding, for `%E2%84%AA` (Kelvin) is a `k`.
 * - final slash dropped: Express, Rails, Laravel, Spring before 6.
 * - decoded once more: an app that decodes what its server has decoded, or a path that came through two proxies.
 * - without tabs and line breaks, and without controls and spaces at the end: whoever gives a decoded path to a parser of
 *   URLs, WHATWG's or Python's. `/..%09/x` climbs there, and `/admin%20` is `/admin`.
 *
 * The path is ambiguous if it holds an encoded delimiter, or if one of these readings reveals an empty segment, a dot
 * segment or a delimiter: `/..;x/` and `/..%3Bx/` climb as well as `/../` does. Then these readings come in too:
 *
 * - slashes collapsed: nginx (`merge_slashes`), Apache, many file servers.
 * - dot segments resolved: RFC 3986, section 5.2.4, on whatever the steps before have revealed.
 * - `\` as `/`: Windows, WHATWG URL parsers. Cut at `?` and `#`: whoever parses a decoded path again.
 *
 * @param received a path that begins with a slash and whose escapes are well-formed
 * @returns `undefined` if there are more than 128, or more than 128 Ki characters of them
 */
export function parsePath(received: string): PathReadings | undefined {
  if (!hasOtherReadings.test(received)) return { path: received, ambiguous: false, others: [] }
  const path = canonicalPath(received)
  const readings = closure(path, plainSteps)
  if (readings === undefined) return undefined
  const isDisguised = encodedDelimiter.test(received) || encodedDelimiter.test(path) || overlong.test(path)
  if (!isDisguised && !readings.some((reading) => revealedDelimiter.test(reading))) {
    return { path, ambiguous: false, others: readings.slice(1) }
  }
  const others = closure(path, allSteps)?.slice(1)
  return others && { path, ambiguous: true, others }
}

type Step = (path: string) => string

const plainSteps: readonly Step[] = [
  cutParameters,
  cutAtParameter,
  foldCase,
  dropFinalSlash,
  decodeOnceMore,
  dropBlanks,
]

const allSteps: readonly Step[] = [...plainSteps, collapseSlashes, resolveDots, turnBackslashes, cutAtQuery]

/** The path and all that the steps make of it. A Set also hands out what is added while it is walked: this ends when nothing new comes. */
function closure(path: string, steps: readonly Step[]): string[] | undefined {
  const readings = new Set([path])
  let characters = 0
  for (const reading of readings) {
    characters += reading.length
    for (const step of steps) readings.add(step(reading))
    if (readings.size > MAX_READINGS || characters > MAX_READ_CHARACTERS) return undefined
  }
  return [...readings]
}

function cutParameters(path: string): string {
  return path.replace(/;[^/]*/g, '')
}

function cutAtParameter(path: string): string {
  const at = path.indexOf(';')
  return at < 0 ? path : path.slice(0, at)
}

/** Escapes of non-ASCII letters are folded as text: `%C3%89` is `%C3%A9` to whoever decodes before comparing. Other escapes keep their digits. */
function foldCase(path: string): string {
  if (!path.includes('%')) return path.toLowerCase()
  return path.replace(/(?:%[89A-F][0-9A-F])+|%[0-9A-F]{2}|[A-Z]+/g, (part) => {
    if (!part.startsWith('%')) return part.toLowerCase()
    if (!/^%[89A-F]/.test(part)) return part
    try {
      return encodeURIComponent(decodeURIComponent(part).toUpperCase().toLowerCase())
    } catch {
      return part // not UTF-8: letters of some other alphabet, which nobody can fold without knowing it
    }
  })
}

/** All of them at once: `/a//` is `/a` to whoever drops the last slash after collapsing them. The root keeps its own. */
function dropFinalSlash(path: string): string {
  let end = path.length
  while (end > 1 && path[end - 1] === '/') end -= 1
  return path.slice(0, end)
}

/**
 * Printable ASCII only. Control characters stay encoded, since no rule can name one; non-ASCII stays encoded, since that
 * is its normal form. A percent sign decoded here may start a new escape, which the next round decodes.
 */
function decodeOnceMore(path: string): string {
  if (!path.includes('%')) return path
  const decoded = path.replace(/%(?:C[01]|E0%8[01]|F0%80%8[01])%[89AB][0-9A-F]|%[2-7][0-9A-F]/gi, (written) => {
    const bytes = written.slice(1).split('%')
    const last = Number.parseInt(bytes.at(-1) ?? '', 16)
    const code = bytes.length === 1 ? last : ((Number.parseInt(bytes.at(-2) ?? '', 16) & 1) << 6) | (last & 0x3f)
    return code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : written
  })
  return canonicalPath(decoded)
}

/** Encoded, as controls stay in every reading; a space may be decoded by then. */
function dropBlanks(path: string): string {
  const text = path.includes('%0') ? path.replace(/%0[9AD]/g, '') : path
  let end = text.length
  for (;;) {
    if (text[end - 1] === ' ') end -= 1
    else if (/^%(?:[01][0-9A-F]|20)$/.test(text.slice(Math.max(0, end - 3), end))) end -= 3
    else return text.slice(0, end)
  }
}

function collapseSlashes(path: string): string {
  return path.replace(/\/{2,}/g, '/')
}

/** RFC 3986, section 5.2.4: a dot segment at the end leaves a slash, and nothing climbs above the root. */
function resolveDots(path: string): string {
  const segments = path.split('/').slice(1)
  const kept: string[] = []
  for (const [at, segment] of segments.entries()) {
    const isDots = segment === '.' || segment === '..'
    if (segment === '..') kept.pop()
    if (!isDots) kept.push(segment)
    else if (at === segments.length - 1) kept.push('')
  }
  return `/${kept.join('/')}`
}

function turnBackslashes(path: string): string {
  return path.replaceAll('\\', '/')
}

function cutAtQuery(path: string): string {
  const at = path.search(/[?#]/)
  return at < 0 ? path : path.slice(0, at)
}
