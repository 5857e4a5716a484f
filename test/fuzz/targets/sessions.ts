import assert from 'node:assert/strict'
import { deflateSync } from 'node:zlib'
import { parseSessionData, writeSessionData } from '../../../src/django/json.ts'
import { createSessionCodec } from '../../../src/django/session-data.ts'
import { createTimestampSigner } from '../../../src/django/signing.ts'
import type { FuzzTarget } from '../fuzz-target.ts'

const secretKey = 'a key for the search, and for nothing else'
const at = 1_700_000_000_000
const codec = createSessionCodec({ secretKey, maxInflatedBytes: 4096 })
const signer = createTimestampSigner({ secretKey, salt: 'django.contrib.sessions.SessionStore' })

/**
 * Stored sessions; the first byte says in which wrapping. Unsigned ones are nobody's. What is read from a signed one is
 * written and read again as the same, and what JavaScript makes of it has the same keys.
 */
export const sessionTarget: FuzzTarget = {
  name: 'sessions',
  seeds: [
    'j{"userInfo":{"id":1,"name":"\\u00e9"},"n":1.0,"big":1152921504606846976}',
    'j{"a":[NaN,-Infinity,1e5,-0],"__proto__":null,"a":2}',
    'z{"k":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}',
    'pe30',
    'p.eJyrVspWslJKHCZAqRYAlOZN7g',
    'ue30:1r31eq:I_lzTiPndLeCNM1aHTOTlBIASx97zx-I-h5XZ0FtLXg',
    's{}:1r31eq',
    'j{"a":"\\ud800","\\ud83d\\ude00":[[[[]]]]}',
  ],
  dictionary: [
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    '\\u',
    '\\ud800',
    '\\',
    'NaN',
    'Infinity',
    '-',
    '1e999',
    '0.1',
    'true',
    'null',
    '__proto__',
    '[[[[[[[[',
    '.',
    '-zz',
  ],
  check(bytes) {
    const text = wrapped(bytes)
    const decoded = codec.decode(text)
    if (bytes[0] === 0x75) assert.equal(decoded.ok, false)
    if (!decoded.ok) return
    const json = writeSessionData(decoded.data)
    assert.match(json, /^[ -~]*$/)
    assert.deepEqual(parseSessionData(json), decoded.data)
    const again = codec.decode(codec.encode(decoded.data, at))
    // Only what was near the limit in bytes can be over it as escapes of ASCII.
    if (again.ok || json.length < 4000) assert.deepEqual(again.ok && again.data, decoded.data)
    if (/NaN|Infinity/.test(json)) return
    assert.deepEqual(new Set(Object.keys(JSON.parse(json) as object)), new Set(decoded.data.keys()))
  },
}

/** u: as it stands. s: signed as it stands, stamp included. p: as a payload. z: compressed. Else plain JSON. */
function wrapped(bytes: Buffer): string {
  const rest = bytes.subarray(1)
  switch (String.fromCharCode(bytes[0] ?? 0)) {
    case 'u':
      return rest.toString('latin1')
    case 's':
    case 'p':
      return signer.sign(rest.toString('latin1'), at)
    case 'z':
      return signer.sign(`.${deflateSync(rest).toString('base64url')}`, at)
    default:
      return signer.sign(rest.toString('base64url'), at)
  }
}
