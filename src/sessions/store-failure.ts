import { GatewayError } from '../errors.ts'

/**
 * The one error in which every trouble of a store ends. `what` names the step and the place, never a key or a value:
 * a session key in a log line is a stolen session.
 */
export function storeUnavailable(what: string, cause?: unknown): GatewayError {
  return new GatewayError('ERR_STORE_UNAVAILABLE', what, { cause })
}

/** True for an error of the operating system, as `node:fs` throws it; with codes, only for one of those. */
export function isErrno(error: unknown, ...codes: readonly string[]): error is NodeJS.ErrnoException {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return false
  return codes.length === 0 || codes.includes(String(error.code))
}
