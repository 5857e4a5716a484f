import { GatewayError } from '../errors.ts'

/**
 * The one error in which every trouble of a store ends. `what` names the step and the place, never a key or a value:
 * a session key in a log line is a stolen session.
 */
export function storeUnavailable(what: string, cause?: unknown): GatewayError {
  return new GatewayError('ERR_STORE_UNAVAILABLE', what, { cause })
}

/**
 * The same for a call that the store never heard of: it is known to be down, or has too much to do. What was to be
 * written surely was not.
 */
export function storeNotAsked(why: string, cause?: unknown): GatewayError {
  return new GatewayError('ERR_STORE_UNAVAILABLE', why, { cause, facts: { outcome: 'failed', asked: 'no' } })
}

/**
 * The same for a store that is something else than the configuration says. Waiting does not mend that, as it may mend
 * everything that is missing or silent, so it ends a start.
 */
export function storeMistaken(what: string, cause?: unknown): GatewayError {
  return new GatewayError('ERR_STORE_UNAVAILABLE', what, { cause, facts: { mistaken: 'yes' } })
}

/** True for errors of {@link storeMistaken}. */
export function isMistaken(error: unknown): error is GatewayError {
  return isStoreFailure(error) && error.facts.mistaken === 'yes'
}

export function isStoreFailure(error: unknown): error is GatewayError {
  return error instanceof GatewayError && error.code === 'ERR_STORE_UNAVAILABLE'
}

/** True for errors of {@link storeNotAsked}: they say nothing about how the store is. */
export function wasNotAsked(error: unknown): boolean {
  return isStoreFailure(error) && error.facts.asked === 'no'
}

/** True for an error of the operating system, as `node:fs` throws it; with codes, only for one of those. */
export function isErrno(error: unknown, ...codes: readonly string[]): error is NodeJS.ErrnoException {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return false
  return codes.length === 0 || codes.includes(String(error.code))
}
