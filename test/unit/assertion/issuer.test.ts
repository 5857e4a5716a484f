import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { publicKeySet } from '../../../src/assertion/jwks.ts'
import { deriveUpstreamKey, readSigningKeys } from '../../../src/assertion/keys.ts'
import { compilePlainHeaders } from '../../../src/assertion/plain-headers.ts'
import { jsonText } from '../../../src/django/json.ts'
import { GatewayError } from '../../../src/errors.ts'
import { iat, issuerOf, nobody, now, payloadText, request, secret, sessionOf, subjectOf, tokenOf } from './fixture.ts'

test('jose verifies an HS256 assertion with the derived key', async () => {
  const token = tokenOf(issuerOf().issue(subjectOf('{"userInfo":{"name":"Zoë"},"_auth_user_id":"7"}')))
  const { payload, protectedHeader } = await jwtVerify(token, deriveUpstreamKey(secret, 'legacy'), {
    algorithms: ['HS256'],
    issuer: 'sessiongate',
    audience: 'legacy',
    typ: 'sessiongate+jwt',
    currentDate: new Date(now),
  })
  assert.deepEqual(protectedHeader, { alg: 'HS256', kid: '2026-11', typ: 'sessiongate+jwt' })
  assert.deepEqual(payload, {
    iss: 'sessiongate',
    aud: 'legacy',
    iat,
    exp: iat + 60,
    auth: true,
    sid: 'p'.repeat(22),
    ses: { userInfo: { name: 'Zoë' } },
  })
})

test('jose verifies EdDSA and ES256 assertions with the published keys', async () => {
  const pairs = { EdDSA: generateKeyPairSync('ed25519'), ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }) }
  for (const algorithm of ['EdDSA', 'ES256'] as const) {
    const privateKey = pairs[algorithm].privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const keys = readSigningKeys([{ id: algorithm, privateKey }], { algorithm, audience: 'legacy' })
    const issuer = issuerOf({ keys })
    assert.equal(issuer.algorithm, algorithm)
    const jwks = createLocalJWKSet({ keys: publicKeySet(keys).keys.map((key) => ({ ...key })) })
    const options = { audience: 'legacy', currentDate: new Date(now), algorithms: [algorithm] }
    const { payload } = await jwtVerify(tokenOf(issuer.issue(subjectOf('{"a":1}'))), jwks, options)
    assert.deepEqual(payload.ses, { a: 1 })
  }
})

test('nobody has an assertion too, without a session id', () => {
  const claims = decodeJwt(tokenOf(issuerOf().issue(nobody)))
  assert.deepEqual(claims, { iss: 'sessiongate', aud: 'legacy', iat, exp: iat + 60, auth: false, ses: {} })
})

test('header and claims stand in one fixed order, without spaces, the data last', () => {
  const plainHeaders = compilePlainHeaders(new Map([['X-N', 'n']]))
  const token = tokenOf(issuerOf({ plainHeaders, bind: 'request' }).issue(subjectOf('{"n":1.0}')))
  const hdr = createHash('sha256').update('x-n:1.0\n').digest('base64url')
  assert.equal(
    Buffer.from(token.split('.')[0] ?? '', 'base64url').toString(),
    '{"alg":"HS256","kid":"2026-11","typ":"sessiongate+jwt"}',
  )
  assert.equal(
    payloadText(token),
    `{"iss":"sessiongate","aud":"legacy","iat":${iat},"exp":${iat + 60},"auth":true,"sid":"${'p'.repeat(22)}",` +
      `"hdr":"${hdr}","hdn":["x-n"],"htm":"GET","htu":"https://app.example.com/cart","ses":{"n":1.0}}`,
  )
})

test('values travel as their source text, NaN as null, all of it ASCII', () => {
  const token = tokenOf(
    issuerOf().issue(subjectOf('{"10":1.0,"9":1152921504606846977,"f":[NaN,-Infinity,"NaN"],"é":"\\u00fc🎈"}')),
  )
  assert.match(
    payloadText(token),
    /"ses":\{"10":1\.0,"9":1152921504606846977,"f":\[null,null,"NaN"\],"\\u00e9":"\\u00fc\\ud83c\\udf88"\}\}$/,
  )
})

test('the app is told the keys of include, else all that do not begin with an underscore', () => {
  const json = '{"userInfo":1,"_auth_user_id":2,"cart":3,"_gw":{"created":1},"_session_expiry":5}'
  const cases: [include: string[] | null, ses: unknown][] = [
    [null, { userInfo: 1, cart: 3 }],
    [['userInfo'], { userInfo: 1 }],
    [['_auth_user_id', 'missing'], { _auth_user_id: 2 }],
    [[], {}],
  ]
  for (const [include, ses] of cases)
    assert.deepEqual(decodeJwt(tokenOf(issuerOf({ include }).issue(subjectOf(json)))).ses, ses)
})

test('plain headers follow the assertion, which vouches for them', () => {
  const plainHeaders = compilePlainHeaders(
    new Map([
      ['X-User-Name', 'userInfo.name'],
      ['X-Cart', 'cart'],
      ['X-Gone', 'gone'],
    ]),
  )
  const { lines } = issuerOf({ plainHeaders, include: [] }).issue(
    subjectOf('{"userInfo":{"name":"Zoë"},"cart":{"n":1}}'),
  )
  assert.deepEqual(lines.slice(2), ['X-User-Name', 'Zo%C3%AB', 'X-Cart', '{"n":1}'])
  const claims = decodeJwt(lines[1] ?? '')
  assert.deepEqual(claims.hdn, ['x-cart', 'x-user-name'])
  assert.equal(claims.hdr, createHash('sha256').update('x-cart:{"n":1}\nx-user-name:Zo%C3%AB\n').digest('base64url'))
  const without = decodeJwt(tokenOf(issuerOf({ plainHeaders }).issue(nobody)))
  assert.ok(!('hdr' in without) && !('hdn' in without))
})

test('the first key signs, and tells its id', () => {
  const keys = readSigningKeys(
    [
      { id: 'new', secret: `${secret}2` },
      { id: 'old', secret },
    ],
    { algorithm: 'HS256', audience: 'legacy' },
  )
  assert.equal(decodeProtectedHeader(tokenOf(issuerOf({ keys }).issue(nobody))).kid, 'new')
})

test('htm and htu are method and URL without query and fragment', () => {
  const cases: [url: string, htu: string][] = [
    ['https://a.example/x?y=1', 'https://a.example/x'],
    ['https://a.example/x#y', 'https://a.example/x'],
    ['https://a.example/x#y?z', 'https://a.example/x'],
    ['https://a.example/x%3Fy', 'https://a.example/x%3Fy'],
    ['https://a.example:8443/', 'https://a.example:8443/'],
  ]
  for (const [url, htu] of cases) {
    const claims = decodeJwt(
      tokenOf(issuerOf({ bind: 'request' }).issue({ ...nobody, request: { method: 'POST', url } })),
    )
    assert.deepEqual([claims.htm, claims.htu], ['POST', htu])
  }
})

test('every session data that Django could hold arrives as it is, in valid header bytes', () => {
  const objects = fc.dictionary(
    fc.string({ unit: 'binary', maxLength: 8 }).filter((key) => !key.startsWith('_')),
    fc.jsonValue({ stringUnit: 'binary', maxDepth: 3 }),
    { maxKeys: 6, noNullPrototype: true },
  )
  const issuer = issuerOf({ maxBytes: 1_000_000, plainHeaders: compilePlainHeaders(new Map([['X-A', 'a']])) })
  fc.assert(
    fc.property(objects, (object) => {
      const data = new Map(Object.entries(object).map(([key, value]) => [key, jsonText(value)]))
      const { lines } = issuer.issue({ key: 'k', publicId: 'p', data, loggedIn: true, request, now })
      for (const line of lines) assert.match(line, /^(?:[!-~](?:[ -~]*[!-~])?)?$/)
      const ses: unknown = JSON.parse(payloadText(lines[1] ?? '')).ses
      assert.equal(JSON.stringify(ses), JSON.stringify(object))
    }),
  )
})

test('over max_bytes nothing is sent, and the large keys are named', () => {
  const json = `{"small":1,"big":"${'b'.repeat(500)}","bigger":"${'c'.repeat(600)}","_huge":"${'d'.repeat(900)}"}`
  const cases: [maxBytes: number, keys: string[]][] = [
    [1200, ['bigger']],
    [600, ['bigger', 'big']],
  ]
  for (const [maxBytes, keys] of cases) {
    assert.throws(
      () => issuerOf({ maxBytes }).issue(subjectOf(json)),
      (error) => {
        assert.ok(error instanceof GatewayError)
        assert.equal(error.code, 'ERR_ASSERTION_TOO_LARGE')
        assert.deepEqual(error.facts.keys, keys)
        return !JSON.stringify([error.message, error.facts]).includes('ccc')
      },
    )
  }
})

test('at most five large keys are named, each by its first hundred characters', () => {
  const members = Array.from({ length: 8 }, (_, i) => `"${i}${'k'.repeat(150)}":"${'v'.repeat(400 - i)}"`)
  assert.throws(
    () => issuerOf({ maxBytes: 600 }).issue(subjectOf(`{${members.join()}}`)),
    (error) => {
      assert.ok(error instanceof GatewayError)
      assert.deepEqual(
        error.facts.keys,
        [0, 1, 2, 3, 4].map((i) => `${i}${'k'.repeat(99)}`),
      )
      return true
    },
  )
})

test('of plain headers only those that are too long are to blame', () => {
  const plainHeaders = compilePlainHeaders(
    new Map([
      ['X-Short', 'short'],
      ['X-Exact', 'exact'],
      ['X-Long', 'long'],
    ]),
  )
  const json = `{"short":"s","exact":"${'e'.repeat(600)}","long":"${'l'.repeat(601)}"}`
  for (const include of [[], ['short']]) {
    assert.throws(
      () => issuerOf({ plainHeaders, include, maxBytes: 600 }).issue(subjectOf(json)),
      (error) => {
        assert.ok(error instanceof GatewayError)
        assert.deepEqual([error.facts.keys, error.facts.excessBytes], [['long'], 1])
        return true
      },
    )
  }
})

test('the limit is the length of the assertion, to the byte', () => {
  const length = tokenOf(issuerOf().issue(subjectOf('{"a":1}', { loggedIn: false }))).length
  assert.equal(tokenOf(issuerOf({ maxBytes: length }).issue(subjectOf('{"a":1}', { loggedIn: false }))).length, length)
  assert.throws(() => issuerOf({ maxBytes: length - 1 }).issue(subjectOf('{"a":1}', { loggedIn: false })), GatewayError)
  assert.equal(issuerOf({ maxBytes: length }).fits(sessionOf('{"a":1}')), true)
  assert.equal(issuerOf({ maxBytes: length - 1 }).fits(sessionOf('{"a":1}')), false)
})

test('a plain header may not be longer than the assertion may be', () => {
  const plainHeaders = compilePlainHeaders(new Map([['X-Note', 'notes.long']]))
  const long = (length: number) => `{"notes":{"long":"${'é'.repeat(length)}"}}`
  const issuer = issuerOf({ plainHeaders, include: [], maxBytes: 600 })
  assert.equal(issuer.fits(sessionOf(long(100))), true)
  assert.equal(issuer.fits(sessionOf(long(101))), false)
  assert.throws(
    () => issuer.issue(subjectOf(long(101))),
    (error) =>
      error instanceof GatewayError && error.code === 'ERR_ASSERTION_TOO_LARGE' && String(error.facts.keys) === 'notes',
  )
})

test('what fits can be issued', () => {
  const issuer = issuerOf({ maxBytes: 400 })
  fc.assert(
    fc.property(fc.nat(200), (length) => {
      const json = `{"a":"${'x'.repeat(length)}"}`
      if (issuer.fits(sessionOf(json))) assert.ok(tokenOf(issuer.issue(subjectOf(json))).length <= 400)
      else assert.throws(() => issuer.issue(subjectOf(json, { loggedIn: false })), GatewayError)
    }),
  )
})

test('an assertion lives 1 to 60 whole seconds', () => {
  for (const ttlSeconds of [0, -1, 61, 1.5, Number.NaN]) assert.throws(() => issuerOf({ ttlSeconds }), RangeError)
  for (const ttlSeconds of [1, 5, 60]) {
    const claims = decodeJwt(tokenOf(issuerOf({ ttlSeconds }).issue(nobody)))
    assert.equal((claims.exp ?? 0) - (claims.iat ?? 0), ttlSeconds)
  }
})
