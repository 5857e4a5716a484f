import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codeOf, connectFailure, exchangeFailure, isOwnShortage, isServerFault } from '../../../src/proxy/failure.ts'

const place = { upstream: 'app', server: 'http://127.0.0.1:1' }
const failed = (code: string) => Object.assign(new Error(code), { code })

const connecting: [code: string, errorCode: string, proxyError: string][] = [
  ['ECONNREFUSED', 'ERR_UPSTREAM_UNREACHABLE', 'connection_refused'],
  ['ENOTFOUND', 'ERR_UPSTREAM_UNREACHABLE', 'dns_error'],
  ['EAI_FAIL', 'ERR_UPSTREAM_UNREACHABLE', 'dns_error'],
  ['EAI_AGAIN', 'ERR_UPSTREAM_UNREACHABLE', 'dns_timeout'],
  ['ECONNRESET', 'ERR_UPSTREAM_UNREACHABLE', 'connection_terminated'],
  ['EHOSTUNREACH', 'ERR_UPSTREAM_UNREACHABLE', 'destination_unavailable'],
  ['ENETUNREACH', 'ERR_UPSTREAM_UNREACHABLE', 'destination_unavailable'],
  ['EMFILE', 'ERR_OVERLOADED', 'connection_limit_reached'],
  ['ETIMEDOUT', 'ERR_UPSTREAM_TIMEOUT', 'connection_timeout'],
  ['EPROTO', 'ERR_UPSTREAM_UNREACHABLE', 'tls_protocol_error'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_UPSTREAM_UNREACHABLE', 'tls_protocol_error'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'ERR_UPSTREAM_UNREACHABLE', 'tls_certificate_error'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'ERR_UPSTREAM_UNREACHABLE', 'tls_certificate_error'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'ERR_UPSTREAM_UNREACHABLE', 'tls_certificate_error'],
  ['CERT_HAS_EXPIRED', 'ERR_UPSTREAM_UNREACHABLE', 'tls_certificate_error'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_UPSTREAM_UNREACHABLE', 'tls_certificate_error'],
]

for (const [code, errorCode, proxyError] of connecting) {
  test(`a connection that fails with ${code} is ${errorCode}, ${proxyError}`, () => {
    const cause = failed(code)
    const error = connectFailure(cause, place)
    assert.deepEqual([error.code, error.proxyError, error.cause, error.facts], [errorCode, proxyError, cause, place])
  })
}

test('an exchange that fails is judged by what became of its connection', () => {
  const cause = failed('UND_ERR_SOCKET')
  const judged = (hasAnswered: boolean, isConnectionLost: boolean) => {
    const { code, proxyError } = exchangeFailure(cause, { hasAnswered, isConnectionLost }, place)
    return `${code} ${proxyError}`
  }
  assert.equal(judged(false, true), 'ERR_UPSTREAM_UNREACHABLE connection_terminated')
  assert.equal(judged(true, true), 'ERR_UPSTREAM_UNREACHABLE http_response_incomplete')
  assert.equal(judged(false, false), 'ERR_UPSTREAM_PROTOCOL http_protocol_error')
  assert.equal(judged(true, false), 'ERR_UPSTREAM_PROTOCOL http_protocol_error')
})

test('a code is read from whatever was thrown', () => {
  for (const thrown of [undefined, null, 'ECONNRESET', 5, {}, { code: 5 }, new Error('x')])
    assert.equal(codeOf(thrown), '')
  assert.equal(codeOf(failed('X')), 'X')
})

test('that no socket is left is our trouble, and not the server’s', () => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']) {
    const error = connectFailure(failed(code), place)
    assert.deepEqual([error.code, error.proxyError], ['ERR_OVERLOADED', 'connection_limit_reached'])
    assert.deepEqual([isServerFault(error), isOwnShortage(error)], [false, true])
  }
  assert.equal(isOwnShortage(connectFailure(undefined, place)), false)
})
