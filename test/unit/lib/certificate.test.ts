import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { CertificateFlaw, explainValidity, readAuthorities, readCertificatePair } from '../../../src/lib/certificate.ts'
import { type Authority, type Issued, openAuthority } from '../../support/certificates.ts'

describe('a certificate and its key', () => {
  let folder: string
  let authority: Authority
  let good: Issued
  let other: Issued
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-pairs-'))
    authority = await openAuthority(folder)
    good = await authority.issue({ hosts: ['a.example'] })
    other = await authority.issue({ hosts: ['b.example'] })
  })
  after(() => rm(folder, { recursive: true }))

  const encrypted = (key: string): string =>
    execFileSync('openssl', ['pkey', '-aes256', '-passout', 'pass:planted'], { input: key, encoding: 'utf8' })
  function tooShort(): Issued {
    const [keyFile, certFile] = [join(folder, 'tiny.key'), join(folder, 'tiny.crt')]
    const made = ['-newkey', 'rsa:512', '-nodes', '-keyout', keyFile, '-out', certFile, '-subj', '/CN=tiny']
    execFileSync('openssl', ['req', '-x509', ...made], { stdio: 'pipe' })
    return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
  }

  test('are taken as they are, alone, with a chain, and out of one file', () => {
    const whole = `${good.cert}${authority.cert}${good.key}`
    const texts: [cert: string, key: string][] = [
      [good.cert, good.key],
      [`${good.cert}${authority.cert}`, good.key],
      [`Bag Attributes\n  a comment\n${good.cert.replaceAll('\n', '\r\n')}`, good.key],
      [whole, whole],
    ]
    for (const [cert, key] of texts) {
      assert.equal(readCertificatePair(cert, key).leaf.subjectAltName, 'DNS:a.example')
    }
  })

  test('that no server could use are refused with the file, the reason and the way out', () => {
    const weak = tooShort()
    const cases: [why: string, cert: string, key: string, part: string, says: RegExp][] = [
      ['an empty file', '', good.key, 'cert', /^is empty/],
      ['a half-written certificate', good.cert.slice(0, 300), good.key, 'cert', /^ends in the middle/],
      ['a half-written chain', good.cert + authority.cert.slice(0, 100), good.key, 'cert', /^ends in the middle/],
      ['something else', 'hello', good.key, 'cert', /^holds no certificate/],
      ['the key in the place of the certificate', good.key, good.key, 'cert', /^holds no certificate/],
      [
        'a certificate of rubbish',
        good.cert.replace(/\n[^-\n]{20}/, '\nAAAAAAAAAAAAAAAAAAAA'),
        good.key,
        'cert',
        /block 1/,
      ],
      ['an empty key', good.cert, '', 'key', /^is empty/],
      ['a half-written key', good.cert, good.key.slice(0, 120), 'key', /^holds no private key/],
      ['the certificate in the place of the key', good.cert, good.cert, 'key', /^holds no private key/],
      ['a key with a passphrase', good.cert, encrypted(good.key), 'key', /^is encrypted/],
      ['the key of another', good.cert, other.key, 'key', /^is not the key of/],
      ['a chain in the wrong order', authority.cert + good.cert, good.key, 'cert', /in place 2/],
      ['a key that is too short', weak.cert, weak.key, 'cert', /refused by OpenSSL \(ERR_SSL_EE_KEY_TOO_SMALL\)/],
    ]
    for (const [why, cert, key, part, says] of cases) {
      assert.throws(
        () => readCertificatePair(cert, key),
        (error) => {
          assert.ok(error instanceof CertificateFlaw, why)
          assert.match(error.message, says, why)
          assert.equal(error.part, part, why)
          assert.ok(error.hint.length > 10, why)
          assert.ok(!`${error.message}${error.hint}`.includes('MII'), 'nothing of the file is quoted')
          return true
        },
      )
    }
  })

  test('have a time', async () => {
    const now = Date.now()
    const outdated = await authority.issue({ hosts: ['a.example'], days: -1 })
    const read = readCertificatePair(good.cert, good.key)
    assert.equal(explainValidity(read, now), undefined)
    assert.match(explainValidity(read, now + 3 * 86_400_000) ?? '', /^has expired: it ended on \d{4}-/)
    assert.match(explainValidity(read, now - 86_400_000) ?? '', /^is not valid before \d{4}-/)
    assert.match(explainValidity(readCertificatePair(outdated.cert, outdated.key), now) ?? '', /^has expired/)
  })

  test('authorities are a list of certificates', () => {
    assert.equal(readAuthorities(authority.cert + good.cert).length, 2)
    assert.throws(() => readAuthorities('none'), /holds no certificate/)
    assert.throws(() => readAuthorities(authority.cert + authority.cert.slice(0, 99)), /ends in the middle/)
  })
})
