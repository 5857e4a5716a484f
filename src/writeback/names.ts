import { RESERVED_KEY } from '../django/changes.ts'
import { EXPIRY_KEY } from '../django/expiry.ts'
import { headerKey } from '../http/headers.ts'

/** The response headers that are commands, in the spelling of the documentation. */
export const commandHeaders = {
  set: 'X-Session-Set',
  delete: 'X-Session-Delete',
  command: 'X-Session-Command',
  expiry: 'X-Session-Expiry',
} as const

export type CommandHeader = (typeof commandHeaders)[keyof typeof commandHeaders]

const OWN_PREFIX = 'x-session-'

const byLowerName: ReadonlyMap<string, CommandHeader> = new Map(
  Object.values(commandHeaders).map((name) => [name.toLowerCase(), name]),
)

/**
 * The command that a response header is. `misspelt` is one that is a command only for a reader that takes `_` or `.`
 * for `-` (`X_Session_Set`). `undefined` for all others, `X-Session-Foo` included.
 */
export function parseCommandName(name: string): CommandHeader | 'misspelt' | undefined {
  if (!isOwnHeader(name)) return undefined
  const exact = byLowerName.get(name.toLowerCase())
  if (exact !== undefined) return exact
  return byLowerName.has(headerKey(name)) ? 'misspelt' : undefined
}

/** True for every header between app and gateway: those that begin with `X-Session-`, in every spelling. */
export function isOwnHeader(name: string): boolean {
  // Nearly every line of nearly every answer ends here, before anything is copied.
  const first = name.charCodeAt(0) | 0x20
  return first === 0x78 && name.length >= OWN_PREFIX.length && headerKey(name).startsWith(OWN_PREFIX)
}

/** Names that JavaScript, on whichever side reads the session next, may take for something else than a key. */
const unsafeNames: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * True for top-level keys that no app may set or delete, also where the configuration names them: what is dangerous as
 * a name, Django's `_session_expiry` (its command is `X-Session-Expiry`), and the gateway's own `_gw…`.
 */
export function isReservedKey(key: string): boolean {
  return unsafeNames.has(key) || key === EXPIRY_KEY || key.startsWith(RESERVED_KEY)
}
