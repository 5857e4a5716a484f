import type { Random } from '../../support/random.ts'

/** What the rule sets name, what they do not, and what a traversal is made of. */
const names = [
  ...['admin', 'admin', 'admin', 'Admin', 'ADMIN', 'kiosk', 'login', 'api', 'secret'],
  ...['pub', 'pub', 'files', 'app', 'x', 'a', 'b', 'index.html', 'pubx', 'adminx', '.hidden', 'a..b', '...'],
]
const climbs = [
  '..',
  '..',
  '.',
  '',
  '.%2e',
  '%2e%2e',
  '%2E.',
  '..;',
  '..;a=b',
  '..%3b',
  '%252e%252e',
  '.;',
  '%c0%ae%c0%ae',
  '..%00',
]
const separators = [
  ...['/', '/', '/', '/', '/', '/', '/', '/', '/', '//', '/./', '///', '\\', '%2f', '%2F', '%5c', '%252f', '%255C'],
  ...[
    '/%2f',
    ';/',
    ';a=b/',
    '%c0%af',
    '%e0%80%af',
    '%3b/',
    '/;/',
    '%00/',
    '%09/',
    '%23/',
    '%3f/',
    '%ef%bc%8f',
    '\u00e9/',
  ],
]
const tails = [
  ...[
    '',
    '',
    '',
    '',
    '/',
    '/x',
    ';x',
    ';x/y',
    ';',
    '.',
    '..',
    '//',
    '/.',
    '/..',
    '/..;/',
    '%20',
    '%09',
    '%00',
    '%0a',
    '%23',
    '%3f',
  ],
  ...[
    '?',
    '?x=/admin',
    '?/../admin',
    '?%2e%2e',
    '#',
    '#/pub',
    '%3b',
    '%3Bx',
    '%5c',
    '%2f',
    '%2f..',
    '.json',
    '%',
    '%2',
    '%zz',
    '~',
    '*',
    '::$DATA',
  ],
]

/** Bytes that some parser on the way may take for something else. No line breaks: those end a head, and belong elsewhere. */
const oddBytes = [
  ...'/\\.;%?#:@&=+$,!*\'()~^|<>{}[]"` ',
  '\0',
  '\t',
  '\x0b',
  '\x7f',
  '\x85',
  '\xa0',
  '\xad',
  '\xc0',
  '\xe9',
  '\xff',
]

/**
 * Paths and queries such as attackers write: put together from guarded and open names, ways to climb out of a folder,
 * all the characters that somebody takes for a separator, letters encoded, and bytes that are out of place.
 */
export function createTargets({ pick, chance, below }: Random): () => string {
  const earlier: string[] = ['/admin', '/pub/x', '/pub/../admin']

  function disguised(name: string): string {
    if (chance(0.6)) return name
    const each = chance(0.5) ? 0.2 : 0.9
    return Array.from(name, (letter) => (chance(each) ? respelt(letter) : letter)).join('')
  }

  function respelt(letter: string): string {
    const hex = letter.charCodeAt(0).toString(16).padStart(2, '0')
    switch (below(9)) {
      case 0:
      case 1:
        return `%${hex}`
      case 2:
        return `%${hex.toUpperCase()}`
      case 3:
        return `%25${hex}`
      case 4:
        return `%2525${hex}`
      case 5:
        return overlong(letter.charCodeAt(0))
      case 6:
        return letter === 'k' ? '%E2%84%AA' : letter === 's' ? '%C5%BF' : letter === 'i' ? '%C4%B1' : letter
      default:
        return letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()
    }
  }

  function composed(): string {
    let text = pick(['/', '/', '/', '/', '/', '/', '//', '/./', '/;/', '/%2f', '\\', ''])
    const count = 1 + below(4)
    for (let i = 0; i < count; i += 1) {
      if (i > 0) text += pick(separators)
      text += chance(0.25) ? pick(climbs) : disguised(pick(names))
    }
    return text + pick(tails)
  }

  /** What people and programs ask for every day, with at most one thing odd about it. */
  function mild(): string {
    const path = `/${Array.from({ length: 1 + below(4) }, () => pick(names)).join('/')}`
    switch (below(8)) {
      case 0:
        return path + pick(tails)
      case 1:
        return `/${disguised(pick(names))}${path}`
      case 2:
        return path.replace('/', pick(separators))
      case 3:
        return `${path}?${pick(names)}=${pick(separators)}${pick(names)}`
      case 4:
        return `${path}/${pick(['%20', '%C3%A9', '%E2%82%AC', '%40', '%7e', "it's", '(1)', 'a,b', 'v=1', '%0A'])}`
      default:
        return path
    }
  }

  /** Out of an open folder, into the guarded one. */
  function climbing(): string {
    const ups = Array.from({ length: 1 + below(3) }, () => pick(climbs) + pick(separators)).join('')
    return `/${disguised(pick(['pub', 'files', 'app', 'x', 'login']))}${pick(separators)}${ups}${disguised('admin')}${pick(tails)}`
  }

  function mutated(): string {
    const text = pick(earlier)
    const at = below(text.length + 1)
    switch (below(5)) {
      case 0:
        return text.slice(0, at) + pick(oddBytes) + text.slice(at)
      case 1:
        return text.slice(0, at) + text.slice(at + 1)
      case 2:
        return text.slice(0, at) + pick(oddBytes) + text.slice(at + 1)
      case 3:
        return text.slice(0, at) + pick([...climbs, ...separators, ...tails]) + text.slice(at)
      default:
        return text.slice(0, at) + pick(earlier).slice(below(8))
    }
  }

  return function target() {
    const kind = below(10)
    const made = kind < 3 ? mild() : kind < 5 ? composed() : kind < 7 ? climbing() : mutated()
    const text = Buffer.from(made, 'latin1').toString('latin1').slice(0, 600)
    if (earlier.length < 500) earlier.push(text)
    else earlier[below(500)] = text
    return text
  }
}

/** The two-byte form that no encoder writes and that old decoders read. */
function overlong(code: number): string {
  return `%${(0xc0 | (code >> 6)).toString(16)}%${(0x80 | (code & 0x3f)).toString(16)}`
}
