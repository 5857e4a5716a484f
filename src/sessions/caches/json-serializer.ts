import { isUtf8 } from 'node:buffer'
import { MAX_JSON_LENGTH, parseSessionData, type SessionData, writeSessionData } from '../../django/json.ts'
import type { SessionSerializer } from '../engines/cache.ts'
import { blanksOf, parseBlanks } from './blank-code.ts'

/** No UTF-16 unit takes more bytes in UTF-8. */
const MAX_BYTES_PER_UNIT = 3

const nullText = Buffer.from('null', 'latin1')

/**
 * Sessions as compact ASCII JSON: byte for byte what Django's own `django.core.signing.JSONSerializer` writes, if it is a
 * cache's `OPTIONS["serializer"]`. The JSONSerializer of django-redis writes the same with a space behind commas and
 * colons; each of the three reads what the others wrote. A marker is `null` with white space behind it.
 */
export const jsonSerializer: SessionSerializer = {
  encode: (data) => Buffer.from(writeSessionData(data), 'latin1'),
  decode,
  marker: (nonce) => Buffer.concat([nullText, blanksOf(nonce)]),
  isMarker: (bytes) => nullText.equals(bytes.subarray(0, 4)) && parseBlanks(bytes.subarray(4)) !== undefined,
}

/** Bytes that are not UTF-8 are an error in Python; with replacement characters they would be another session. */
function decode(bytes: Uint8Array): SessionData | undefined {
  if (bytes.length > MAX_JSON_LENGTH * MAX_BYTES_PER_UNIT || !isUtf8(bytes)) return undefined
  return parseSessionData(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
}
