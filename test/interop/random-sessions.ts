import fc from 'fast-check'

/** The seed of all random sessions: a run is the same as the one before, so what it finds can be found again. */
export const SEED = Number(process.env.SESSIONGATE_SEED ?? 20_260_417)

/**
 * The JSON texts of `count` random sessions, in every spelling that a reader of JSON accepts: raw characters and escapes
 * of either case, white space, exponents. Python's own spelling of the same values comes from Python itself
 * (`DjangoProject.normalize`).
 */
export function randomSources(count: number, salt = 0, expiries: Expiries = {}): string[] {
  const random = fc.sample(sourceWith(expiries), { numRuns: count - corners.length, seed: SEED + salt })
  return [...corners, ...random]
}

/** What a store or a release of Django bears of `_session_expiry`. */
export interface Expiries {
  /** Dates, which Django 3.2 cannot read. Default true. */
  readonly hasDates?: boolean
  /** All of them before 2038, where memcached's time ends. Default false. */
  readonly isNear?: boolean
}

/** One top-level member, for changes: a name and a JSON text. */
export function randomMembers(count: number, salt = 0): [name: string, text: string][] {
  return fc.sample(fc.tuple(name, value), { numRuns: count, seed: SEED + salt })
}

/** Texts of Python's `json` in the alphabet of which things go wrong. */
const unit = fc.oneof(
  { weight: 12, arbitrary: fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }) },
  { weight: 2, arbitrary: fc.constantFrom('"', '\\', '/', '<', '>', '&', "'", '\u2028', '\u2029', '\x7f', '\ufeff') },
  { weight: 1, arbitrary: fc.nat(0x1f).map((code) => String.fromCharCode(code)) },
  { weight: 1, arbitrary: fc.integer({ min: 0x80, max: 0xa0 }).map((code) => String.fromCharCode(code)) },
  { weight: 2, arbitrary: fc.constantFrom('ë', 'ß', 'İ', 'ﬀ', '漢', 'ع', '\u0301', '\ufffd', '\uffff') },
  { weight: 2, arbitrary: fc.constantFrom('\u{1f600}', '\u{10ffff}', '\u{1f468}\u200d\u{1f469}') },
  { weight: 1, arbitrary: fc.constantFrom('\ud800', '\udbff', '\udc00', '\udfff') },
)

const words = fc.string({ unit, maxLength: 24 })

const name = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme-ascii', maxLength: 12 }) },
  { weight: 2, arbitrary: words },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'length', '', ' ', 'userInfo', 'cart'],
      ...['0', '1', '10', '2', '-1', '01', '4294967295', '1e3', '_messages', '_csrftoken', '_gw', '_language', 'null'],
    ),
  },
)

/** How one string is written: as Python does, with raw characters, with every unit escaped, or with `\/`. */
const styles: readonly ((text: string) => string)[] = [
  (text) => JSON.stringify(text).replace(/[^ -~]/g, escapeOf),
  (text) => JSON.stringify(text),
  (text) => `"${escapeOf(text).toUpperCase().replaceAll('\\U', '\\u')}"`,
  (text) => JSON.stringify(text).replaceAll('/', '\\/'),
]

function escapeOf(unit: string): string {
  return Array.from({ length: unit.length }, (_, i) => `\\u${unit.charCodeAt(i).toString(16).padStart(4, '0')}`).join(
    '',
  )
}

const style = fc.constantFrom(...styles, ...styles.slice(0, 2))
const stringText = fc.tuple(words, style).map(([text, write]) => write(text))

const numberText = fc.oneof(
  fc.integer().map(String),
  fc.constantFrom('0', '-0', '1', '0.0', '-0.0', '1.0', '1E5', '1e+05', '1e-7', '100.00', '5e-324', '1e400', '-1e400'),
  fc.constantFrom('NaN', 'Infinity', '-Infinity', '1.7976931348623157e308', '0.1000000000000000055511151231257827'),
  fc.bigInt({ min: 2n ** 53n - 3n, max: 2n ** 53n + 3n }).map(String),
  fc.bigInt({ min: -(10n ** 60n), max: 10n ** 60n }).map(String),
  fc.double().map((number) => (Object.is(number, -0) ? '-0.0' : String(number))),
)

const space = fc.constantFrom('', '', '', ' ', '\n', ' \t\r\n')

function arrayText(item: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(fc.array(item, { maxLength: 6 }), space)
    .map(([items, gap]) => `[${gap}${items.join(`${gap},`)}${gap}]`)
}

/** Names may come twice inside a value: Python takes the last, and the text stays as it is. */
function objectText(item: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const member = fc
    .tuple(name, style, item, space)
    .map(([key, write, text, gap]) => `${write(key)}${gap}:${gap}${text}`)
  return fc
    .tuple(fc.array(member, { maxLength: 6 }), space)
    .map(([members, gap]) => `{${gap}${members.join(`,${gap}`)}}`)
}

const { value } = fc.letrec<{ value: string; scalar: string; array: string; object: string }>((tie) => ({
  scalar: fc.oneof(stringText, numberText, fc.constantFrom('true', 'false', 'null', '[]', '{}', '""')),
  array: arrayText(tie('value')),
  object: objectText(tie('value')),
  value: fc.oneof({ maxDepth: 4, withCrossShrink: true }, tie('scalar'), tie('array'), tie('object')),
}))

/** Text that zlib cannot make shorter by much: digits out of a small generator. */
const incompressible = fc.tuple(fc.nat(), fc.integer({ min: 100, max: 4000 })).map(([start, length]) => {
  let state = start
  const digits = Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state >>> 27).toString(32)
  })
  return JSON.stringify(digits.join(''))
})

const compressible = fc
  .tuple(stringText, fc.integer({ min: 20, max: 900 }))
  .map(([text, times]) => `[${Array(times).fill(text).join(',')}]`)

/** What Django itself keeps in a session, and our own reserved key. */
const djangoMembers = fc.record(
  {
    _auth_user_id: fc.nat().map((id) => `"${id}"`),
    _auth_user_backend: fc.constant('"django.contrib.auth.backends.ModelBackend"'),
    _auth_user_hash: fc
      .string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 64, maxLength: 64 })
      .map((digest) => `"${digest}"`),
    _password_reset_token: fc.constant('"5f3-1b2c3d4e5f60718293a4"'),
    _gw: fc.nat(2_000_000_000).map((seconds) => `{"created":${seconds}}`),
  },
  { requiredKeys: [] },
)

/** Dates so far away, on either side, that it does not matter when the test runs. */
function expiryWithin({ hasDates = true, isNear = false }: Expiries): fc.Arbitrary<string> {
  const seconds = fc.integer({ min: 86_400, max: isNear ? 200_000_000 : 1_000_000_000 }).map(String)
  const ahead = fc.integer(isNear ? { min: 2036, max: 2037 } : { min: 2040, max: 9998 })
  const date = fc
    .tuple(
      fc.oneof({ weight: 5, arbitrary: ahead }, fc.integer({ min: 1971, max: 2020 })),
      fc.constantFrom('-01-01T00:00:00', '-12-31T23:59:59.999999', '-02-28T12:30:15.000001', '-06-15T01:02:03.120000'),
      fc.constantFrom('+00:00', '+00:00', '+05:30', '-11:00', '+05:53:28', 'Z'),
    )
    .map(([year, rest, offset]) => `"${String(year).padStart(4, '0')}${rest}${offset}"`)
  const over = fc.integer({ min: -1_000_000_000, max: -1 }).map(String)
  return fc.oneof(fc.constant('0'), seconds, seconds, over, hasDates ? date : seconds)
}

function oneIn<T>(count: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof({ weight: count - 1, arbitrary: fc.constant(null) }, { weight: 1, arbitrary })
}

function sourceWith(expiries: Expiries): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.uniqueArray(fc.tuple(name, style, value), { selector: ([key]) => key, maxLength: 8 }),
      oneIn(3, djangoMembers).map((members) => Object.entries(members ?? {})),
      oneIn(8, fc.oneof({ weight: 3, arbitrary: compressible }, incompressible)),
      oneIn(2, expiryWithin(expiries)),
      space,
    )
    .map(([members, django, bulk, expires, gap]) => {
      const taken = new Set(members.map(([key]) => key))
      const texts = [
        ...members.map(([key, write, text]) => `${write(key)}:${gap}${text}`),
        ...django.filter(([key]) => !taken.has(key)).map(([key, text]) => `"${key}":${text}`),
        ...(bulk === null || taken.has('bulk') ? [] : [`"bulk":${bulk}`]),
        ...(expires === null ? [] : [`"_session_expiry":${gap}${expires}`]),
      ]
      return `{${gap}${texts.join(`,${gap}`)}${gap}}`
    })
}

function nested(open: string, close: string, levels: number): string {
  return open.repeat(levels) + close.repeat(levels)
}

/** Values of which Python's `bool` may say something else than JavaScript. */
const doubtful = [
  'NaN',
  '-0.0',
  '0e5',
  '1e-400',
  '"0"',
  '"false"',
  '""',
  '[]',
  '{}',
  '[0]',
  '{"a":null}',
  'false',
  '-1',
]

/** What stands for no expiry, for the browser's end, or for seconds, if one asks Python. */
const oddExpiries = ['true', 'false', 'null', '[]', '{}', '0', '0.0', '-0.0', '1e6', '86400.5', '-0.5', '0.5']

/** Where memcached begins to take an age for a date. */
const monthExpiries = ['2592000', '2592001']

/** Sessions that chance would not find. */
const corners: readonly string[] = [
  ...[...oddExpiries, ...monthExpiries].map((text) => `{"_session_expiry":${text},"a":1}`),
  ...doubtful.map((text) => `{"userInfo":${text}}`),
  '{}',
  '{"":""}',
  '{"2":1,"1":2,"b":3,"a":4,"-1":5,"01":6}',
  '{"__proto__":{"__proto__":1},"constructor":{"prototype":null}}',
  '{"a":1.0,"b":1e5,"c":-0,"d":-0.0,"e":1e400,"f":[NaN,Infinity,-Infinity],"g":9007199254740993}',
  `{"n":-${'9'.repeat(4300)}}`,
  `{"deep":${nested('[', ']', 31)}}`,
  `{"deep":${nested('{"":', '}', 30).replace('}', '{}}')}}`,
  `{"k":"${'a'.repeat(60_000)}"}`,
  `{"text":"${'\u{1f600}'.repeat(5000)}"}`,
  `{${Array.from({ length: 2000 }, (_, i) => `"${1999 - i}":${i}`).join(',')}}`,
  '{"dup":{"a":1,"b":2,"a":3}}',
]
