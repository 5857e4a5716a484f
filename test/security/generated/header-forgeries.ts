import type { Random } from '../../support/random.ts'

/** What apps take for the gateway's word, whoever the peer is. */
const ours = [
  ...[
    'X-Session-Assertion',
    'X-Session-Assertion',
    'X-Session-Data',
    'X-Session-Set',
    'X-Session-',
    'X-Session-User-Id',
  ],
  ...['X-User-Name', 'User.Role', 'X-Env', 'Client-Cert', 'Client-Cert-Chain', 'X-Request-Id', 'Proxy'],
  ...['X-HTTP-Method', 'X-HTTP-Method-Override', 'X-Method-Override', 'X-Forwarded-For', 'X-Forwarded-Port'],
]

/** What they believe of a proxy in front, and no stranger may say. */
const ofProxies = [
  ...['Forwarded', 'X-Forwarded', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Port'],
  ...['X-Forwarded-Prefix', 'X-Forwarded-User', 'X-Forwarded-Email', 'X-Forwarded-Client-Cert', 'X-Real-IP'],
  ...['X-Original-URL', 'X-Original-Host', 'X-Original-Forwarded-For', 'X-Rewrite-URL', 'True-Client-IP'],
  ...['CF-Connecting-IP', 'CF-Ray', 'CF-Visitor'],
]

/** A header name as CGI, WSGI, Rack, PHP and Perl hand it to an app: all that is no letter or digit is one character. */
function nameAtApp(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9]/g, '_')
}

const oursAtApp = new Set(ours.map(nameAtApp))
const overrides = new Set(['X-HTTP-Method', 'X-HTTP-Method-Override', 'X-Method-Override'].map(nameAtApp))

/** Whether an app would believe a line of that name. `fromStranger`: the peer is no trusted proxy. */
export function isBelieved(
  name: string,
  { fromStranger, keepsOverrides }: { fromStranger: boolean; keepsOverrides: boolean },
): boolean {
  const seen = nameAtApp(name)
  if (keepsOverrides && overrides.has(seen)) return false
  if (
    seen.startsWith('X_SESSION_') ||
    (oursAtApp.has(seen) && !seen.startsWith('X_FORWARDED_') && seen !== 'X_REQUEST_ID')
  )
    return true
  return (
    fromStranger &&
    /^(FORWARDED$|X_FORWARDED(_|$)|X_REAL_IP$|X_REQUEST_ID$|X_ORIGINAL_|X_REWRITE_URL$|TRUE_CLIENT_IP$|CF_)/.test(seen)
  )
}

/** Lines of a request by which somebody claims to be somebody. */
export interface Forgery {
  /** Raw lines, each with its end. */
  readonly lines: string
  /** What stands behind a chunked body; absent where the request has none. */
  readonly trailers?: string
}

const separators = [..."-_.~!*+|`'^$&%#"] as const

/** What looks like a letter, a hyphen or a colon and is another byte; UTF-8, one character a byte. */
const lookAlikes: readonly [letter: RegExp, bytes: string][] = (
  [
    [/s/i, 'ſ'],
    [/k/i, 'K'],
    [/i/i, 'ı'],
    [/e/i, 'е'],
    [/a/i, 'ａ'],
    [/o/i, 'о'],
    [/-/, '‐'],
    [/-/, '−'],
    [/-/, '\u00ad'],
    [/-/, '＿'],
    [/^/, '\ufeff'],
    [/$/, '\u200b'],
    [/$/, '\u00a0'],
  ] as const
).map(([letter, look]) => [letter, Buffer.from(look).toString('latin1')])

/** Another forgery with each call; every value of it holds the word `forged`. */
export function createForgeries(random: Random): () => Forgery {
  const { pick, chance, below } = random
  const respelt = (name: string): string => {
    const separated = name.replace(/[-.]/g, (separator) => (chance(0.5) ? separator : pick(separators)))
    return Array.from(separated, (letter) =>
      chance(0.3) ? (chance(0.5) ? letter.toUpperCase() : letter.toLowerCase()) : letter,
    ).join('')
  }
  const value = (): string =>
    pick([
      'forged',
      'forged',
      'forged, 6.6.6.6',
      'for=forged;proto=https;host=forged',
      '6.6.6.6, forged',
      '"forged"',
      'forged.eyJhdXRoIjp0cnVlfQ.x',
      '/forged',
    ])

  function cookieLine(): string {
    const pairs = [
      'sessionid=forged',
      ' sessionid=forged',
      'sessionid = forged',
      'sessionid="forged"',
      'sessionid=forged=',
      'sessionid=x sessionid=forged',
    ]
    const before = pick([
      '',
      'a=b; ',
      'a=b;',
      'a="; ',
      'a="b; ',
      '$Version=1; ',
      ';;; ',
      'a; ',
      '=; ',
      'a=b;\t',
      'sessionid=; ',
      'sessionid=x; ',
    ])
    return `${pick(['Cookie', 'cookie', 'COOKIE'])}: ${before}${pick(pairs)}${pick(['', '; a=b', ';', '; sessionid=forged2'])}\r\n`
  }

  return function forge() {
    const name = pick(chance(0.6) ? ours : ofProxies)
    const spelt = respelt(name)
    const line = `${spelt}: ${value()}\r\n`
    const forms: (() => string)[] = [
      () => line,
      () => line,
      () => line,
      () => `${spelt}:${value()}\r\n`,
      () => `${spelt}:\t ${value()} \t\r\n`,
      () => `${line}${respelt(name)}: ${value()}\r\n${name}:\r\n`,
      () => `${name}:\r\n${line}`,
      () => `${spelt} : ${value()}\r\n`,
      () => `${spelt}\t: ${value()}\r\n`,
      () => `X-Some: a\r\n ${line}`,
      () => `X-Some: a\r\n\t${line}`,
      () => `${spelt}:\r\n ${value()}\r\n`,
      () =>
        `X-Some: a${pick(['\n', '\r', '\n\n', '\r\r\n', '\x0b', '\x0c', '\x85', '\u0000', '%0d%0a', '\\r\\n', '\xe2\x80\xa8', '\x8d\x8a'])}${line}`,
      () => `${spelt}${pick(['\0', '\x7f', ' ', ';', '/', '(', '@', '=', '\x80', '%00'])}: ${value()}\r\n`,
      () =>
        `Connection: ${pick(['', 'close, ', 'keep-alive,', ',,'])}${spelt}${pick(['', ', Cookie, Host', ';q=1', ', X-Request-Id'])}\r\n${line}`,
      () =>
        `connection: ${name}, X-Session-Assertion, x_forwarded_for, X-User-Name, X-Env, traceparent\r\nConnection: ${spelt}\r\n`,
      () => `${name.replace(...lookAlike())}: ${value()}\r\n`,
      () => `${respelt(name).replace(...lookAlike())}: ${value()}\r\n`,
      () => `${line.repeat(2 + below(30))}`,
      () => `HTTP_${nameAtApp(name)}: ${value()}\r\n${nameAtApp(name)}: ${value()}\r\n`,
      cookieLine,
      cookieLine,
    ]
    const lines = pick(forms)()
    return chance(0.08) ? { lines: chance(0.5) ? `Trailer: ${spelt}\r\n` : '', trailers: lines } : { lines }
  }

  function lookAlike(): [RegExp, string] {
    const [letter, bytes] = pick(lookAlikes)
    return [letter, bytes]
  }
}
