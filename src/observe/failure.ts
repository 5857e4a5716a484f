import { GatewayError } from '../errors.ts'
import type { LogFields } from './log.ts'

/** How deep a chain of causes is followed. */
const MAX_CAUSES = 5
const MAX_FRAMES = 8

/**
 * What the log tells of an error. Only a `GatewayError`, the operating system and SQLite are quoted: others may repeat
 * what they choked on (`JSON.parse` quotes its input, a driver its connection string), so of them the log gets the kind,
 * the code and where they were thrown.
 */
export function failureFields(error: unknown): LogFields {
  const chain = causesOf(error)
  const [first] = chain
  return {
    'error.type': kindOf(first),
    'error.message': quotableMessage(first),
    'error.causes': chain.length > 1 ? chain.slice(1).map(describe) : undefined,
    'error.stack': chain.some(isExpected) ? undefined : framesOf(first),
  }
}

function causesOf(error: unknown): unknown[] {
  const chain: unknown[] = []
  for (let next = error; next !== undefined && chain.length < MAX_CAUSES; ) {
    chain.push(next)
    next = next instanceof Error ? next.cause : undefined
  }
  return chain
}

/** Errors that say by themselves what is wrong; where they were thrown adds nothing. */
function isExpected(error: unknown): boolean {
  return error instanceof GatewayError ? error.code !== 'ERR_INTERNAL' : isSystemError(error)
}

function describe(error: unknown): string {
  const message = quotableMessage(error)
  return message === undefined ? kindOf(error) : `${kindOf(error)}: ${message}`
}

/** The code where there is one (`ECONNREFUSED`, `ERR_SQLITE_ERROR`, `28P01`), else the class. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const code = 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : error.name
}

/**
 * Of an error of the operating system, what was called and where to: not the path, which may be a session's file, and so
 * its key. SQLite's words name tables and columns, never values.
 */
function quotableMessage(error: unknown): string | undefined {
  if (error instanceof GatewayError) return error.message
  if (!isSystemError(error)) return undefined
  if (!('syscall' in error)) return error.message
  const { address, port } = error as { address?: unknown; port?: unknown }
  const target = typeof address === 'string' ? ` ${address}${typeof port === 'number' ? `:${port}` : ''}` : ''
  return `${error.syscall}${target}`
}

function isSystemError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  if ('syscall' in error && typeof error.syscall === 'string') return true
  return 'code' in error && error.code === 'ERR_SQLITE_ERROR'
}

/** The `at …` lines alone: what stands before them repeats the message, which may have such lines too. */
function framesOf(error: unknown): readonly string[] | undefined {
  if (!(error instanceof Error) || error.stack === undefined) return undefined
  const { message, stack } = error
  if (!stack.includes(message)) return undefined // the words were changed after it was thrown: which lines are words?
  const frames = stack.slice(stack.indexOf(message) + message.length).split('\n')
  return frames
    .filter((line) => line.startsWith('    at '))
    .slice(0, MAX_FRAMES)
    .map((line) => line.trim())
}
