import type { SessionData } from '../json.ts'
import { pythonDictOf, sessionDataOf } from './json-form.ts'
import { pickle } from './pickler.ts'
import { unpickle } from './unpickler.ts'

/**
 * A session as a cache of Django keeps it: byte for byte `pickle.dumps(json.loads(text), protocol=5)` of CPython, where
 * `text` is the session as `writeSessionData` writes it.
 *
 * @throws {TypeError} if a value is not JSON text, or so deep that the session could not be read again: a bug of the
 * caller. The size is not looked at; whoever stores sessions keeps them below 1 MiB of JSON, or they cannot be read again.
 */
export function pickleSession(data: SessionData): Buffer {
  let length = 0
  for (const [key, text] of data) length += key.length + text.length + 8
  return pickle(pythonDictOf(data), length + 32)
}

/**
 * Reads the pickled dict of a session, protocols 2 to 5, each value as the text that Python's `json.dumps` writes for it.
 * Undefined, and never an error, if it is anything else than plain data with a form in JSON, or longer than 1 MiB as
 * JSON, or too deep. What follows the pickle is ignored, as in Python.
 */
export function parseSessionPickle(bytes: Uint8Array): SessionData | undefined {
  const value = unpickle(bytes)
  return value instanceof Map ? sessionDataOf(value) : undefined
}
