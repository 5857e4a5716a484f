import { DatabaseError } from 'pg'
import { GatewayError } from '../../errors.ts'
import { storeUnavailable } from '../store-failure.ts'

/**
 * Classes and codes of errors after which the connection is as good as before: the statement alone failed. Everything
 * else, known or not, costs the connection.
 */
const harmless = /^(?:22...|23...|40...|42(?!P05).{3}|55...|57014)$/

/** The server or the way to it is gone, or it is not the one that it was: other connections of that time are no better. */
const serverGone = /^(?:08...|25006|57P..|58...)$/

/** Appendix A of PostgreSQL's manual, as far as an operator can do something about it. */
const meanings: Readonly<Record<string, string>> = {
  '08P01': 'did not understand the connection: behind pgbouncer, database.pgbouncer: true is needed',
  '23503': 'keeps the row because another table refers to it with a foreign key',
  '25006': 'is read-only',
  '26000': 'forgot a prepared statement: behind pgbouncer, database.pgbouncer: true is needed',
  '28000': 'refused the user, or the way it came: does its pg_hba.conf want TLS (sslmode=verify-full)?',
  '28P01': 'refused the user or the password',
  '3D000': 'has no such database',
  '42501':
    'does not permit it: the user needs SELECT, INSERT, UPDATE and DELETE on django_session, and on the table of user_index',
  '42703': 'has a table django_session with other columns than those of Django',
  '42P05': 'has another prepared statement: behind pgbouncer, database.pgbouncer: true is needed',
  '53300': 'has no connection left: its max_connections is less than all pools together',
  '55P03': 'kept a row or the table locked',
  '57014': 'stopped a statement that took too long',
  '57P01': 'closed the connection',
  '57P02': 'crashed',
  '57P03': 'is starting or stopping',
}

/** The five characters of SQLSTATE in an error of the server, also as the cause of ours; undefined for any other error. */
export function sqlState(error: unknown): string | undefined {
  const cause = error instanceof GatewayError ? error.cause : error
  return cause instanceof DatabaseError ? cause.code : undefined
}

/** The transaction was rolled back because of another one, and may be repeated. */
export function isSerializationFailure(error: unknown): boolean {
  const state = sqlState(error)
  return state === '40001' || state === '40P01'
}

/** True when the connection must not be used again. */
export function costsConnection(error: unknown): boolean {
  return !harmless.test(sqlState(error) ?? '')
}

/** True when every connection made before this moment is to be given up: the server was restarted, or is another now. */
export function isServerGone(error: unknown): boolean {
  const state = sqlState(error)
  return state === undefined || serverGone.test(state)
}

/** The server said no to the statement, so nothing of it was done. After any other error it may have been. */
function isRefusal(error: unknown): boolean {
  const state = sqlState(error)
  return state !== undefined && (state === '25006' || !isServerGone(error))
}

/**
 * `ERR_STORE_UNAVAILABLE` for an error of the driver, in words where it has a meaning for the operator. `detail` and
 * `where` are taken off the cause: PostgreSQL quotes rows there, and a session's key is part of a row. The fact `outcome` is
 * `failed` where it is sure that nothing was written.
 */
export function postgresFailure(place: string, error: unknown): GatewayError {
  if (error instanceof DatabaseError) {
    error.detail = undefined
    error.where = undefined
  }
  const message = `PostgreSQL at ${place} ${meanings[sqlState(error) ?? ''] ?? 'failed'}`
  return isRefusal(error) ? notWritten(message, error) : storeUnavailable(message, error)
}

/** The same for a connection that could not be made. */
export function connectFailure(place: string, error: unknown): GatewayError {
  const meaning = meanings[sqlState(error) ?? '']
  if (meaning !== undefined) return notWritten(`PostgreSQL at ${place} ${meaning}`, error)
  // The driver's words for a URL without a password: SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string.
  if (error instanceof Error && error.message.endsWith('client password must be a string'))
    return notWritten(`PostgreSQL at ${place} wants a password, and the URL has none`, undefined)
  // Without a code it is a fixed sentence of the driver's own, such as that the server has no TLS.
  const words = error instanceof Error && !('code' in error) ? `: ${error.message}` : ''
  return notWritten(`PostgreSQL at ${place} cannot be reached${words}`, error)
}

function notWritten(message: string, cause: unknown): GatewayError {
  return new GatewayError('ERR_STORE_UNAVAILABLE', message, { cause, facts: { outcome: 'failed' } })
}
