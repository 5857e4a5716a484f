import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DatabaseError } from 'pg'
import {
  connectFailure,
  costsConnection,
  isSerializationFailure,
  isServerGone,
  postgresFailure,
  sqlState,
} from '../../../../src/sessions/databases/postgres-failure.ts'

function databaseError(code: string): DatabaseError {
  const error = new DatabaseError('message', 7, 'error')
  error.code = code
  error.detail = 'Key (session_key)=(canarycanary) already exists.'
  error.where = 'canarycanary'
  return error
}

interface Verdict {
  /** The connection is not used again. */
  readonly costs: boolean
  /** Neither are the others of that time. */
  readonly gone: boolean
  readonly outcome: 'failed' | undefined
}

const verdicts: [why: string, code: string | undefined, verdict: Verdict][] = [
  ['a bad value', '22P02', { costs: false, gone: false, outcome: 'failed' }],
  ['a key that is taken', '23505', { costs: false, gone: false, outcome: 'failed' }],
  ['a serialization failure', '40001', { costs: false, gone: false, outcome: 'failed' }],
  ['a deadlock', '40P01', { costs: false, gone: false, outcome: 'failed' }],
  ['a missing table', '42P01', { costs: false, gone: false, outcome: 'failed' }],
  ['a lock that stayed', '55P03', { costs: false, gone: false, outcome: 'failed' }],
  ['a statement that was stopped', '57014', { costs: false, gone: false, outcome: 'failed' }],
  ['a prepared statement of somebody else', '42P05', { costs: true, gone: false, outcome: 'failed' }],
  ['a prepared statement that is gone', '26000', { costs: true, gone: false, outcome: 'failed' }],
  ['a plan that does not fit any more', '0A000', { costs: true, gone: false, outcome: 'failed' }],
  ['no memory', '53200', { costs: true, gone: false, outcome: 'failed' }],
  ['a standby', '25006', { costs: true, gone: true, outcome: 'failed' }],
  ['a stop', '57P01', { costs: true, gone: true, outcome: undefined }],
  ['a crash', '57P02', { costs: true, gone: true, outcome: undefined }],
  ['a start', '57P03', { costs: true, gone: true, outcome: undefined }],
  ['a broken connection', '08006', { costs: true, gone: true, outcome: undefined }],
  ['an I/O error', '58030', { costs: true, gone: true, outcome: undefined }],
  ['a lost connection', undefined, { costs: true, gone: true, outcome: undefined }],
]
for (const [why, code, { costs, gone, outcome }] of verdicts) {
  test(`what an error means for the connection, for the others, and for a write: ${why}`, () => {
    const error = code === undefined ? new Error('Connection terminated unexpectedly') : databaseError(code)
    assert.equal(costsConnection(error), costs)
    assert.equal(isServerGone(error), gone)
    assert.equal(isSerializationFailure(error), code === '40001' || code === '40P01')
    const failure = postgresFailure('db/shop', error)
    assert.equal(failure.code, 'ERR_STORE_UNAVAILABLE')
    assert.equal(failure.cause, error)
    assert.equal(failure.facts.outcome, outcome)
    assert.equal(sqlState(failure), code)
    assert.equal(isServerGone(failure), gone, 'the same for ours')
    assert.doesNotMatch(JSON.stringify({ ...error, message: failure.message }), /canary/)
  })
}

test('a connection that was never made wrote nothing, and says why in words that hold no secret', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  const cases: [error: Error, message: string][] = [
    [refused, 'PostgreSQL at db/shop cannot be reached'],
    [
      new Error('The server does not support SSL connections'),
      'PostgreSQL at db/shop cannot be reached: The server does not support SSL connections',
    ],
    [databaseError('28P01'), 'PostgreSQL at db/shop refused the user or the password'],
    [databaseError('57P03'), 'PostgreSQL at db/shop is starting or stopping'],
    [databaseError('XX000'), 'PostgreSQL at db/shop cannot be reached'],
  ]
  for (const [error, message] of cases) {
    const failure = connectFailure('db/shop', error)
    assert.equal(failure.message, message)
    assert.equal(failure.facts.outcome, 'failed')
    assert.equal(failure.cause, error)
  }
})
