import type { AccessRule } from './rule.ts'

/**
 * True if `selected` asks at least what `other` asks, so that a request which an app might take for one of `other`'s
 * loses nothing by being treated as one of `selected`'s. In doubt the answer is no: two `allow` expressions are
 * compared as text, because which of two is the stricter cannot be told, and an unnecessary 400 costs less than a
 * door left open.
 */
export function asksAtLeast(selected: AccessRule, other: AccessRule): boolean {
  if (other.crossSite === 'same-site' && selected.crossSite === 'off') return false
  if (!asksAnything(other)) return true
  if (other.mode === 'enforce' && selected.mode === 'observe') return false
  if (other.auth === 'required' && selected.auth !== 'required') return false
  if (other.allow !== undefined && other.allow.trim() !== selected.allow?.trim()) return false
  return other.require.every((path) => selected.require.includes(path))
}

/** Whether a rule keeps anybody out. */
export function asksAnything(rule: AccessRule): boolean {
  return rule.auth === 'required' || rule.require.length > 0 || rule.allow !== undefined
}
