import { type SessionData, writeSessionData } from '../django/json.ts'
import type { Commands } from './commands.ts'
import { commandHeaders } from './names.ts'
import { refusal } from './refusal.ts'

export interface SessionLimits {
  /** `session.max_bytes`: of the whole session's JSON, before compression. */
  readonly maxBytes: number
  /** Would the session still fit the assertion of the route that the answer belongs to? */
  readonly fitsAssertion: (data: SessionData) => boolean
}

/**
 * Looks at the session as it would be stored, after the merge. Belongs into the atomic step, since only there it is
 * known what other answers have added meanwhile.
 *
 * @throws {GatewayError} `ERR_WRITEBACK_REFUSED`, naming the largest of the keys that the commands set.
 */
export function checkSize(after: SessionData, commands: Commands, limits: SessionLimits): void {
  checkStoredSize(after, commands, limits.maxBytes)
  if (!limits.fitsAssertion(after)) throw tooLarge(commands)
}

/**
 * The part of {@link checkSize} that is about the store alone.
 *
 * @throws {GatewayError} `ERR_WRITEBACK_REFUSED`.
 */
export function checkStoredSize(after: SessionData, commands: Commands, maxBytes: number): void {
  if (writeSessionData(after).length > maxBytes) throw tooLarge(commands)
}

function tooLarge(commands: Commands) {
  const [largest] = [...commands.set].toSorted(([, a], [, b]) => b.length - a.length)
  if (largest === undefined) return refusal({ reason: 'too_large', header: commandHeaderOf(commands) })
  return refusal({ reason: 'too_large', header: commandHeaders.set, key: largest[0] })
}

/** What is to blame when nothing was set: the session was over the limit before, and this command would store it again. */
function commandHeaderOf(commands: Commands): string {
  if (commands.delete.length > 0) return commandHeaders.delete
  return commands.expiry === undefined ? commandHeaders.command : commandHeaders.expiry
}
