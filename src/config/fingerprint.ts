import { createHash } from 'node:crypto'
import { Secret } from './secret.ts'

/**
 * A text that is the same for settings that are the same, secrets included, and another for all others. It stays in the
 * process: who knows the settings but for a short secret could try them all.
 */
export function fingerprint(settings: unknown): string {
  return createHash('sha256').update(JSON.stringify(settings, whole)).digest('base64url')
}

/** Says which configuration runs, not what is in it: secrets print as `[redacted]`. */
export function publicHash(settings: unknown): string {
  return createHash('sha256').update(JSON.stringify(settings, asList)).digest('hex').slice(0, 12)
}

/** JSON has neither maps nor sets, and would say the same of every one. */
function asList(_name: string, value: unknown): unknown {
  return value instanceof Map || value instanceof Set ? [...value] : value
}

/** `value` is what `toJSON` has made of it; `this` still holds what it was. */
function whole(this: unknown, name: string, value: unknown): unknown {
  const own = (this as Readonly<Record<string, unknown>>)[name]
  return own instanceof Secret ? ['secret', own.reveal()] : asList(name, value)
}
