import { Option } from 'commander'
import { parseDuration } from '../config/units.ts'
import { CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'

/** A whole number above 0. @throws {CommandError} for anything else. */
export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new CommandError(exitCodes.usage, `a count is a whole number above 0, not ${JSON.stringify(text)}`)
  return Number(text)
}

/** Milliseconds of `50ms`, `2s`. @throws {CommandError} for anything else, and for more than an hour. */
export function parsePause(text: string): number {
  const durationMs = parseDuration(text)
  if (durationMs === undefined || durationMs > 3_600_000)
    throw new CommandError(exitCodes.usage, `a pause is a time such as 50ms or 2s, not ${JSON.stringify(text)}`)
  return durationMs
}

/**
 * One public id in sixty-four begins with `-`, and would be taken for an option. So each of that shape gets a space in
 * front before the line is read, which {@link readPublicId} takes away again. No option of ours is as long.
 */
export function shieldPublicId(argument: string): string {
  return /^-[\w-]{21}$/.test(argument) ? ` ${argument}` : argument
}

/** The public id that somebody typed. */
export function readPublicId(argument: string): string {
  return argument.trim()
}

/** `--json` of a command that asks the gateway. */
export function jsonOption(): Option {
  return new Option('--json', 'the answer of the API as one JSON document; default a table, in a pipe too')
}
