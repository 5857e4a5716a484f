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

/**
 * The user and password of every URL in a text, as ranges: everything between `://` and the last `@` before a space or
 * quote. A password may hold `/` and `@` itself, so the last one counts.
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
  return ranges
}

/** The text with `***` for user and password of its URLs. */
export function withoutCredentials(text: string): string {
  return urlCredentials(text).reduceRight(
    (shown, [start, end]) => `${shown.slice(0, start)}***${shown.slice(end)}`,
    text,
  )
}
