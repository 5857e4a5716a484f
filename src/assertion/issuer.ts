import { LRUCache } from 'lru-cache'
import { type JsonText, jsonText, normalizeJson, type SessionData, strictJson } from '../django/json.ts'
import { GatewayError } from '../errors.ts'
import type { EpochMs } from '../lib/clock.ts'
import type { SigningAlgorithm, SigningKey } from './keys.ts'
import { digestHeaders, type PlainHeaders } from './plain-headers.ts'

/** The header that carries the assertion. */
export const ASSERTION_HEADER = 'X-Session-Assertion'

/** The contract's limit: a stolen assertion is of no use after a minute and the clock difference that verifiers allow. */
const MAX_TTL_SECONDS = 60

/** What an issuer may keep of assertions for reuse, in characters, where the options do not say. */
const DEFAULT_REUSE_CHARACTERS = 4 * 1024 * 1024

/** How many large keys a log line names, and how much of each name: a name may be as long as a session. */
const MAX_KEYS_NAMED = 5
const MAX_NAME_CHARACTERS = 100

export interface AssertionIssuerOptions {
  /** From `readSigningKeys` for this upstream: the first signs. */
  readonly keys: readonly [SigningKey, ...SigningKey[]]
  /** `signing.issuer`. */
  readonly issuer: string
  /** The upstream's name. */
  readonly audience: string
  /** Whole seconds, 1 to 60. */
  readonly ttlSeconds: number
  /** `request` ties each assertion to method and URL, and so to one request. */
  readonly bind: 'session' | 'request'
  /** `signing.max_bytes`: of the assertion, and of each plain header's value. */
  readonly maxBytes: number
  /** The top-level keys that the app is told; null = all that do not begin with `_`. */
  readonly include: readonly string[] | null
  /** From `compilePlainHeaders`. */
  readonly plainHeaders: (data: SessionData) => PlainHeaders
  /** Memory for assertions that may be sent again, in characters; default 4 Mi. */
  readonly reuseCharacters?: number
}

/** Whom the assertion is about, and in which request. */
export interface AssertionSubject {
  /** The session's key; absent for nobody. Part of what decides about reuse, and sent nowhere. */
  readonly key?: string
  /** Becomes `sid`; absent for nobody. */
  readonly publicId?: string
  readonly data: SessionData
  readonly loggedIn: boolean
  readonly request: AssertedRequest
  readonly now: EpochMs
}

/** RFC 9449, section 4.2: what `htm` and `htu` say. The URL is the browser's; query and fragment are left out of `htu`. */
export interface AssertedRequest {
  readonly method: string
  readonly url: string
}

export interface IssuedAssertion {
  /** The header lines to add to the request, flat: the assertion, then the plain session headers. */
  readonly lines: readonly string[]
  /** True if an assertion signed earlier is sent again. */
  readonly reused: boolean
}

/** Signs what an app is told about a session, for one route. */
export interface AssertionIssuer {
  readonly algorithm: SigningAlgorithm
  /** @throws {GatewayError} `ERR_ASSERTION_TOO_LARGE` with the names of the large `keys`: nothing is cut silently. */
  issue(subject: AssertionSubject): IssuedAssertion
  /** Would this data fit? Asked before a change is stored, since a session that does not fit fails every later request. */
  fits(data: SessionData): boolean
}

/** What the session has to say on this route. */
interface Content {
  readonly ses: JsonText
  readonly plain: PlainHeaders
}

interface Issued {
  readonly content: Content
  readonly issuedAt: EpochMs
  readonly lines: readonly string[]
}

/** An assertion that may be sent again, with everything that it depends on beside the session's key. */
interface Kept extends Issued {
  readonly publicId: string | undefined
  /** As it was read last; compared as an object first, since that says the same as a look at every word of it. */
  readonly data: SessionData
  readonly loggedIn: boolean
}

/**
 * An issuer for one route of one upstream; reuse stays inside it. An assertion is sent again for at most half of its
 * life, and only if session key, public id, login and every word of the content are the same: they are compared whole,
 * never as a digest or a joined text, since a collision there would be somebody else's identity.
 */
export function createAssertionIssuer(options: AssertionIssuerOptions): AssertionIssuer {
  const { ttlSeconds } = options
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > MAX_TTL_SECONDS) {
    throw new RangeError(`an assertion lives 1 to ${MAX_TTL_SECONDS} whole seconds, not ${ttlSeconds}`)
  }
  const describe = compileContent(options)
  const write = compileAssertion(options)
  const keep = createKeep(options)

  return {
    algorithm: options.keys[0].algorithm,
    issue(subject) {
      const kept = keep.find(subject)
      if (kept !== undefined && kept.data === subject.data) return { lines: kept.lines, reused: true }
      const content = describe(subject.data)
      if (kept !== undefined && isSameContent(kept.content, content)) {
        // Read anew from the store, with nothing new in it: the next request will bring this object again.
        keep.put(subject, { content: kept.content, issuedAt: kept.issuedAt, lines: kept.lines })
        return { lines: kept.lines, reused: true }
      }
      const issuedAt = Math.floor(subject.now / 1000) * 1000
      const input = write(content, subject, issuedAt / 1000)
      const excess = excessOf(input.length + 1 + options.keys[0].signatureLength, content, options.maxBytes)
      if (excess !== undefined) throw tooLarge(subject.data, content, options, excess)
      const lines = [ASSERTION_HEADER, `${input}.${options.keys[0].sign(input)}`, ...content.plain.lines]
      keep.put(subject, { content, issuedAt, lines })
      return { lines, reused: false }
    },
    fits(data) {
      const content = describe(data)
      const input = write(content, { ...longestSubject, data }, longestSubject.now / 1000)
      return excessOf(input.length + 1 + options.keys[0].signatureLength, content, options.maxBytes) === undefined
    },
  }
}

/** The subject with the longest claims, except for a URL, which is nobody's fault in a session. */
const longestSubject = {
  publicId: 'x'.repeat(22),
  loggedIn: false,
  request: { method: 'OPTIONS', url: '' },
  now: 9_999_999_000_000,
} as const

/** The session's share of the claims, and the plain headers. */
function compileContent(options: AssertionIssuerOptions): (data: SessionData) => Content {
  const isIncluded = compileInclude(options.include)
  return function describe(data) {
    const members: string[] = []
    for (const [key, text] of data) if (isIncluded(key)) members.push(memberText(key, text))
    return { ses: `{${members.join(',')}}`, plain: options.plainHeaders(data) }
  }
}

function compileInclude(include: readonly string[] | null): (key: string) => boolean {
  if (include === null) return (key) => !key.startsWith('_')
  const names = new Set(include)
  return (key) => names.has(key)
}

/** A member of `ses` in ASCII, from the source text: JavaScript's numbers would turn 2^60 into another number. */
function memberText(key: string, text: JsonText): string {
  return `${jsonText(key)}:${strictJson(normalizeJson(text))}`
}

/** The signing input (RFC 7515, section 5.1): header and claims, the claims in one fixed order with `ses` at the end. */
function compileAssertion(options: AssertionIssuerOptions) {
  const { id, algorithm } = options.keys[0]
  const header = base64url(`{"alg":"${algorithm}","kid":${jsonText(id)},"typ":"sessiongate+jwt"}`)
  const head = `{"iss":${jsonText(options.issuer)},"aud":${jsonText(options.audience)},"iat":`
  return function write({ ses, plain }: Content, subject: Omit<AssertionSubject, 'key'>, iatSeconds: number): string {
    let claims = `${head}${iatSeconds},"exp":${iatSeconds + options.ttlSeconds},"auth":${subject.loggedIn}`
    if (subject.publicId !== undefined) claims += `,"sid":${jsonText(subject.publicId)}`
    if (plain.lines.length > 0) {
      const { hdr, hdn } = digestHeaders(plain.lines)
      claims += `,"hdr":"${hdr}","hdn":${JSON.stringify(hdn)}`
    }
    if (options.bind === 'request') {
      const { method, url } = subject.request
      claims += `,"htm":${jsonText(method)},"htu":${jsonText(url.replace(/[?#].*$/s, ''))}`
    }
    return `${header}.${base64url(`${claims},"ses":${ses}}`)}`
  }
}

function base64url(ascii: string): string {
  return Buffer.from(ascii, 'latin1').toString('base64url')
}

/** The assertions that may be sent again: one a session, the latest; the least recently used go first. */
function createKeep(options: AssertionIssuerOptions) {
  const maxSize = options.reuseCharacters ?? DEFAULT_REUSE_CHARACTERS
  const maxAgeMs = (options.ttlSeconds * 1000) / 2
  const bySession = new LRUCache<string, Kept>({ maxSize, sizeCalculation: keptCharacters })
  let nobodys: Kept | undefined

  return {
    /** What was issued for the same session key, public id and login, if it is young enough. */
    find(subject: AssertionSubject): Kept | undefined {
      const kept = subject.key === undefined ? nobodys : bySession.get(subject.key)
      if (kept === undefined) return undefined
      const ageMs = subject.now - kept.issuedAt
      const isSame = kept.loggedIn === subject.loggedIn && kept.publicId === subject.publicId
      // A clock that was set back makes the age negative: then nobody knows how old it is.
      return isSame && ageMs >= 0 && ageMs <= maxAgeMs ? kept : undefined
    },
    put(subject: AssertionSubject, issued: Issued): void {
      if (options.bind === 'request') return
      const { key, publicId, data, loggedIn } = subject
      const kept = { publicId, data, loggedIn, ...issued }
      if (key === undefined) nobodys = kept
      else bySession.set(key, kept)
    },
  }
}

function keptCharacters({ data, content, lines }: Kept, key: string): number {
  let characters = 1 + key.length + content.ses.length
  for (const [name, text] of data) characters += name.length + text.length
  for (const line of lines) characters += line.length
  return characters
}

function isSameContent(a: Content, b: Content): boolean {
  if (a.ses !== b.ses || a.plain.lines.length !== b.plain.lines.length) return false
  return a.plain.lines.every((line, index) => line === b.plain.lines[index])
}

/** By how many bytes the headers are too long; `undefined` if they fit. */
function excessOf(assertionLength: number, { plain }: Content, maxBytes: number): number | undefined {
  const values = plain.lines.filter((_line, index) => index % 2 === 1).map((value) => value.length)
  const excess = Math.max(assertionLength, ...values) - maxBytes
  return excess > 0 ? excess : undefined
}

/** Names the largest keys, as many as must go for the rest to fit. */
function tooLarge(data: SessionData, content: Content, options: AssertionIssuerOptions, excess: number): GatewayError {
  const isIncluded = compileInclude(options.include)
  const lengths = new Map<string, number>()
  for (const [key, text] of data) if (isIncluded(key)) lengths.set(key, (memberText(key, text).length * 4) / 3)
  for (const [index, key] of content.plain.keys.entries()) {
    const value = content.plain.lines[index * 2 + 1] ?? ''
    if (value.length > options.maxBytes) lengths.set(key, Math.max(value.length, lengths.get(key) ?? 0))
  }
  const keys: string[] = []
  let remaining = excess
  for (const [key, length] of [...lengths].toSorted(([, a], [, b]) => b - a)) {
    if (remaining <= 0 || keys.length === MAX_KEYS_NAMED) break
    keys.push(key.slice(0, MAX_NAME_CHARACTERS))
    remaining -= length
  }
  const facts = { keys, maxBytes: options.maxBytes, excessBytes: excess, upstream: options.audience }
  return new GatewayError('ERR_ASSERTION_TOO_LARGE', 'the session does not fit the headers of its route', { facts })
}
