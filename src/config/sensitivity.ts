import type { Range } from './finding.ts'
import type { Path } from './path.ts'

const SENSITIVE_KEY = /secret|token|passw|pwd|private|credential|authorization|(^|[_-])key$/i

/** One reference and nothing else, perhaps quoted: its text tells where the secret is, not what it is. */
const PURE_REFERENCE = /^(["']?)\$\{(?:[A-Za-z_][A-Za-z0-9_]*|file:[^}]*)\}\1$/

/** True for keys whose values are secrets, also in spellings that the schema does not know. */
export function isSensitiveKey(key: string): boolean {
  return SENSITIVE_KEY.test(key)
}

/** True for values that must not be shown: those under a sensitive key, at any depth. */
export function isSensitivePath(path: Path): boolean {
  return path.some((step) => typeof step === 'string' && isSensitiveKey(step) && step !== 'auth_key')
}

/** True for `${NAME}` and `${file:…}` standing alone. A default is text, so `${NAME:-hunter2}` is not pure. */
export function isPureReference(sourceText: string): boolean {
  return PURE_REFERENCE.test(sourceText.trim())
}

/** A run of text that could hold `user:password@host` without a scheme, as one writes a server of memcached. */
const BARE_WORD = /[^\s"'{}[\],]+/g

/** A password behind `?`, where some programs look for it. */
const QUERIED_CREDENTIALS = /[?&][a-z_]{0,30}(?:pass|secret|token|key)[a-z_]{0,30}=([^\s"'&]+)/gi

/**
 * The credentials of every URL in a text, as ranges: everything between `://` and the last `@` before a space or quote,
 * since a password may hold `/` and `@` itself; the same where a URL has no scheme; and passwords behind `?`.
 */
export function urlCredentials(text: string): Range[] {
  const ranges: Range[] = []
  for (let at = text.indexOf('://'); at !== -1; ) {
    const start = at + 3
    const length = text.slice(start).search(/[\s"']/)
    const end = length === -1 ? text.length : start + length
    const sign = text.lastIndexOf('@', end - 1)
    if (sign >= start) ranges.push([start, sign])
    at = text.indexOf('://', Math.max(end, start))
  }
  for (const { 0: word, index } of text.matchAll(BARE_WORD)) {
    const sign = word.lastIndexOf('@')
    if (sign > 0 && !word.includes('://') && word.slice(0, sign).includes(':')) ranges.push([index, index + sign])
  }
  for (const match of text.matchAll(QUERIED_CREDENTIALS)) {
    const end = match.index + match[0].length
    ranges.push([end - (match[1]?.length ?? 0), end])
  }
  return merged(ranges)
}

function merged(ranges: readonly Range[]): Range[] {
  const result: Range[] = []
  for (const range of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = result.at(-1)
    if (last !== undefined && range[0] <= last[1]) result.splice(-1, 1, [last[0], Math.max(last[1], range[1])])
    else result.push(range)
  }
  return result
}

/** The text with `***` for user and password of its URLs. */
export function withoutCredentials(text: string): string {
  return urlCredentials(text).reduceRight(
    (shown, [start, end]) => `${shown.slice(0, start)}***${shown.slice(end)}`,
    text,
  )
}
