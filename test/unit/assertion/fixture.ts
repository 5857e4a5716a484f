import assert from 'node:assert/strict'
import {
  type AssertionIssuerOptions,
  type AssertionSubject,
  createAssertionIssuer,
} from '../../../src/assertion/issuer.ts'
import { readSigningKeys } from '../../../src/assertion/keys.ts'
import { compilePlainHeaders } from '../../../src/assertion/plain-headers.ts'
import { parseSessionData, type SessionData } from '../../../src/django/json.ts'

export const now = Date.parse('2026-11-23T00:00:00.400Z')
export const iat = 1_795_392_000
export const secret = '0123456789abcdef0123456789abcdef'
export const request = { method: 'GET', url: 'https://app.example.com/cart?x=1' }

export function sessionOf(json: string): SessionData {
  const data = parseSessionData(json)
  assert.ok(data, json)
  return data
}

export function issuerOf(options: Partial<AssertionIssuerOptions> = {}) {
  return createAssertionIssuer({
    keys: readSigningKeys([{ id: '2026-11', secret }], { algorithm: 'HS256', audience: 'legacy' }),
    issuer: 'sessiongate',
    audience: 'legacy',
    ttlSeconds: 60,
    bind: 'session',
    maxBytes: 4000,
    include: null,
    plainHeaders: compilePlainHeaders(new Map()),
    ...options,
  })
}

export function subjectOf(json: string, more: Partial<AssertionSubject> = {}): AssertionSubject {
  return { key: 'k'.repeat(32), publicId: 'p'.repeat(22), data: sessionOf(json), loggedIn: true, request, now, ...more }
}

export const nobody: AssertionSubject = { data: new Map(), loggedIn: false, request, now }

export function tokenOf({ lines }: { lines: readonly string[] }): string {
  assert.equal(lines[0], 'X-Session-Assertion')
  return lines[1] ?? assert.fail('no assertion')
}

export function payloadText(token: string): string {
  return Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('latin1')
}
