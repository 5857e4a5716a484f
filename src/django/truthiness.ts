import type { JsonText } from './json.ts'

/**
 * What `bool(value)` is in Python for a value of a session: `{}`, `[]`, `""`, `null`, `false` and every spelling of zero
 * (`0`, `-0.0`, `0e5`, and `1e-999`, which a float cannot hold) are false, and so is a missing value. All else is true,
 * also `NaN`, `"0"` and `"false"`. JavaScript's own truthiness differs for `{}`, `[]` and `NaN`.
 *
 * The text must be JSON. A word that is none (`undefined`, `yes`) is false all the same: whoever asks, asks whether to
 * let somebody in.
 */
export function isTruthy(text: JsonText | undefined): boolean {
  const value = text?.trim() ?? ''
  switch (value[0]) {
    case '{':
    case '[':
      return !/^.\s*[\]}]?$/.test(value)
    case '"':
      return value.length > 2
    case 't':
      return value === 'true'
    case 'N':
      return value === 'NaN'
    default:
      return isNonZero(Number(value))
  }
}

/** False for zero and for what is no number; `Number` reads `''`, `null` and `false` as one of the two. */
function isNonZero(number: number): boolean {
  return number < 0 || number > 0
}
