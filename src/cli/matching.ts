import type { Command } from 'commander'
import { jsonText, parseJsonValue } from '../django/json.ts'
import { isExact } from '../sessions/value-query.ts'
import { CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'

/** As typed. */
export interface MatchOptions {
  readonly user?: string
  readonly key?: string
  readonly value?: string
}

/** Which sessions are meant. */
export type Matching =
  | { readonly kind: 'all' }
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'value'; readonly key: string; readonly path: readonly string[]; readonly value: unknown }

/** @param which Such as `only those` or `all sessions`. */
export function addMatchOptions(command: Command, which: string): Command {
  return command
    .option('--user <id>', `${which} of the user with that id (session.user_id)`)
    .option('--key <path>', `${which} in which that key, such as userInfo.role, has the --value`)
    .option('--value <json>', 'JSON, such as 7 or true; what is none, such as admin, is text')
}

/** @throws {CommandError} where two are named, or half of one. */
export function readMatching({ user, key, value }: MatchOptions): Matching {
  if ((key === undefined) !== (value === undefined))
    throw new CommandError(exitCodes.usage, '--key and --value go together')
  if (user !== undefined && key !== undefined)
    throw new CommandError(exitCodes.usage, 'either --user, or --key and --value')
  if (user !== undefined) return { kind: 'user', user }
  if (key === undefined || value === undefined) return { kind: 'all' }
  return { kind: 'value', key, path: key.split('.'), value: readValue(value) }
}

/** As the gateway takes it. @throws {CommandError} for a number that would not arrive as it is. */
export function wireMatching(matching: Matching): { user?: string; key?: string; value?: unknown } {
  if (matching.kind === 'all') return {}
  if (matching.kind === 'user') return { user: matching.user }
  const { key, value } = matching
  if (!isExact(value))
    throw new CommandError(
      exitCodes.usage,
      'a whole number beyond 2^53 would reach the gateway as another; without --live and --url it is looked for in the store',
    )
  return { key, value }
}

/** For messages: `of the user "7"`, `with userInfo.role = "admin"`. */
export function wordsOfMatching(matching: Exclude<Matching, { kind: 'all' }>): string {
  if (matching.kind === 'user') return `of the user ${JSON.stringify(matching.user)}`
  return `with ${matching.key} = ${jsonText(matching.value)}`
}

/** Shells take quotes away, so text may do without. Integers stay exact. */
function readValue(text: string): unknown {
  try {
    JSON.parse(text)
  } catch {
    return text
  }
  return parseJsonValue(text) ?? text
}
