import { isFileKey, isSessionKey, MIN_KEY_LENGTH } from '../django/session-key.ts'
import type { KeyVerdict } from './engine.ts'

/**
 * What a cookie's value is before any store is asked. Below Django's minimum it is no key at all; outside the gateway's
 * bounds it is a key that no store can hold, so none is asked: neither the length nor the bytes of a stranger's cookie
 * reach a query or a cache key.
 */
export function keyVerdict(cookieValue: string): KeyVerdict {
  if (cookieValue.length < MIN_KEY_LENGTH) return 'none'
  return isSessionKey(cookieValue) ? 'ask' : 'unknown'
}

/** The same for the file engine, where the key is part of a path: only Django's own alphabet, `a-z0-9`, is asked for. */
export function fileKeyVerdict(cookieValue: string): KeyVerdict {
  const verdict = keyVerdict(cookieValue)
  return verdict === 'ask' && !isFileKey(cookieValue) ? 'unknown' : verdict
}
