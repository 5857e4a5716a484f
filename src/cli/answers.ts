import { CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'

/**
 * What a gateway answered. It may be of another version than this program, so nothing is taken for granted: what is not
 * there is shown as `-`, and what is not known is left to `--json`.
 */
export type Answer = Readonly<Record<string, unknown>>

/** @throws {CommandError} if it is something else. */
export function readAnswer(value: unknown): Answer {
  if (isAnswer(value)) return value
  throw new CommandError(exitCodes.failed, 'the gateway answers what this version does not know; --json shows it')
}

/** The members of a list; empty if it is none. */
export function listOf(value: unknown): readonly Answer[] {
  return Array.isArray(value) ? value.filter(isAnswer) : []
}

/** @throws {CommandError} if it is no list. */
export function readList(value: unknown): readonly Answer[] {
  if (Array.isArray(value)) return listOf(value)
  return [readAnswer(undefined)]
}

export function isAnswer(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Any value in a cell: `-` for nothing, words for yes and no, lists with commas. */
export function cellOf(value: unknown): string {
  if (value === undefined || value === null || value === '') return '-'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(cellOf).join(', ')
  if (isAnswer(value)) {
    const members = Object.entries(value)
    return members.length === 0 ? '-' : members.map(([name, member]) => `${name}=${cellOf(member)}`).join(' ')
  }
  return String(value)
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
