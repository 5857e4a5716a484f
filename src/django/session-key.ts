import { randomInt as cryptoRandomInt } from 'node:crypto'

/** A key that is shorter is no key: Django drops it on assignment (`_validate_session_key`). */
export const MIN_KEY_LENGTH = 8

/** A longer cookie value is an unknown key, and no store is asked for it. Django's column holds 40 characters. */
export const MAX_KEY_LENGTH = 128

/** The length of the keys that Django creates. */
const NEW_KEY_LENGTH = 32

/** Django's `VALID_KEY_CHARS`: lower case only, since some file systems do not tell the cases apart. */
const KEY_ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'

/**
 * A new session key as Django makes it: 32 of `a-z0-9`, about 165 bits. That nobody has it already is for the engine
 * to ensure, by storing it insert-only.
 *
 * @param randomInt A uniformly random integer from 0 up to, not including, `max`. Default: that of `node:crypto`.
 */
export function createSessionKey(randomInt: (max: number) => number = cryptoRandomInt): string {
  return Array.from({ length: NEW_KEY_LENGTH }, () => KEY_ALPHABET.charAt(randomInt(KEY_ALPHABET.length))).join('')
}

/** True for what a store may be asked for: {@link MIN_KEY_LENGTH} to {@link MAX_KEY_LENGTH} of `A-Za-z0-9_.:-`. */
export function isSessionKey(text: string): boolean {
  return text.length >= MIN_KEY_LENGTH && text.length <= MAX_KEY_LENGTH && /^[\w.:-]+$/.test(text)
}

/**
 * True for a session key that may become a file name: `a-z0-9` only (Django's `InvalidSessionKey` otherwise). The file
 * engine puts the key into a path, so a dot or a slash would lead out of its folder.
 */
export function isFileKey(text: string): boolean {
  return isSessionKey(text) && /^[a-z0-9]+$/.test(text)
}
