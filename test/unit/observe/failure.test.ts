import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { GatewayError } from '../../../src/errors.ts'
import { failureFields } from '../../../src/observe/failure.ts'

const canary = 'canary5e55ion5ecret0123456789abcd'

async function thrownBy(action: () => unknown): Promise<unknown> {
  try {
    await action()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

test('errors that repeat what they choked on are not quoted', async () => {
  const cases: [why: string, action: () => unknown][] = [
    ['JSON.parse quotes its input', () => JSON.parse(canary)],
    ['a file of a session has the key in its name', () => readFile(`/tmp/sessionid${canary}`)],
    ['URL keeps its input', () => new URL(`postgres//user:${canary}@db`)],
    [
      'a driver quotes its connection string',
      () => Promise.reject(new Error(`cannot connect to postgres://user:${canary}@db/app`)),
    ],
    ['a stack repeats the message', () => Promise.reject(new TypeError(`line one\n${canary}\n    at ${canary}`))],
    ['something that is no error was thrown', () => Promise.reject(canary)],
    [
      'it is wrapped',
      () => Promise.reject(new GatewayError('ERR_STORE_UNAVAILABLE', 'the store failed', { cause: new Error(canary) })),
    ],
  ]
  for (const [why, action] of cases) {
    assert.doesNotMatch(JSON.stringify(failureFields(await thrownBy(action))), new RegExp(canary), why)
  }
})

test('what an operator can act on is told', async () => {
  const noTable = await thrownBy(() => new DatabaseSync(':memory:').prepare('SELECT 1 FROM django_session'))
  assert.equal(failureFields(noTable)['error.message'], 'no such table: django_session')
  const noFile = await thrownBy(() => readFile('/nowhere/at/all'))
  assert.equal(failureFields(noFile)['error.type'], 'ENOENT')
  assert.equal(failureFields(noFile)['error.message'], 'open')
  const wrapped = new GatewayError('ERR_STORE_UNAVAILABLE', 'the store failed', { cause: noTable })
  assert.deepEqual(failureFields(wrapped), {
    'error.type': 'ERR_STORE_UNAVAILABLE',
    'error.message': 'the store failed',
    'error.causes': ['ERR_SQLITE_ERROR: no such table: django_session'],
    'error.stack': undefined,
  })
})

test('an endless chain of causes is followed for a while', () => {
  const circular = new Error('round')
  circular.cause = circular
  assert.deepEqual(failureFields(circular)['error.causes'], ['Error', 'Error', 'Error', 'Error'])
})
