import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Problem } from '../../../src/config/problem.ts'
import { loadText, MINIMAL, problemsOf, type Surroundings } from '../../config/sample.ts'
import { type Issued, openAuthority } from '../../support/certificates.ts'

const withListen = (listen: string): string => MINIMAL.replace('hosts:', `listen:\n${listen}\nhosts:`)

/** Without the warning of the login page, which is open to everybody. */
async function tlsProblems(text: string, surroundings?: Surroundings): Promise<readonly Problem[]> {
  return (await problemsOf(text, surroundings)).filter(({ path }) => !path.startsWith('routes'))
}

describe('certificate files of listeners', () => {
  let folder: string
  let good: Issued
  let other: Issued
  let outdated: Issued
  let files: Record<string, string>
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-check-'))
    const authority = await openAuthority(folder)
    good = await authority.issue({ hosts: ['a.example'] })
    other = await authority.issue({ hosts: ['b.example'] })
    outdated = await authority.issue({ hosts: ['c.example'], days: -1 })
    files = {
      '/srv/good.crt': good.cert,
      '/srv/good.key': good.key,
      '/srv/other.key': other.key,
      '/srv/outdated.crt': outdated.cert,
      '/srv/outdated.key': outdated.key,
      '/srv/half.crt': good.cert.slice(0, 200),
      '/etc/ca.crt': authority.cert,
    }
  })
  after(() => rm(folder, { recursive: true }))

  test('that can be used are no problem, and become absolute paths', async () => {
    const tls =
      '{ cert: good.crt, key: good.key, certificates: [{ cert: good.crt, key: good.key }], client_ca: /etc/ca.crt, client_cert: optional, min_version: "1.3" }'
    const text = withListen(`  - { address: ":8443", tls: ${tls} }\n  - { address: ":8080", redirect_to_https: 8443 }`)
    const { config } = await loadText(text, { files, checksCertificates: true })
    assert.deepEqual(await tlsProblems(text, { files, checksCertificates: true }), [])
    const pair = { name: 'good.crt', certFile: '/srv/good.crt', keyFile: '/srv/good.key' }
    assert.deepEqual(
      config.listen.map(({ tls, httpsPort }) => ({ tls, httpsPort })),
      [
        {
          tls: {
            certificates: [pair, pair],
            clientCa: { name: '/etc/ca.crt', file: '/etc/ca.crt', isRequired: false },
            minVersion: 'TLSv1.3',
          },
          httpsPort: undefined,
        },
        { tls: undefined, httpsPort: 8443 },
      ],
    )
  })

  test('that cannot are errors, each with its place and the way out', async () => {
    const cases: [tls: string, path: string, says: RegExp][] = [
      ['{ cert: none.crt, key: good.key }', 'listen[0].tls.cert', /the file "none.crt" cannot be read \(ENOENT\)/],
      ['{ cert: half.crt, key: good.key }', 'listen[0].tls.cert', /"half.crt" ends in the middle of a certificate/],
      ['{ cert: good.crt, key: none.key }', 'listen[0].tls.key', /cannot be read \(ENOENT\)/],
      ['{ cert: good.crt, key: other.key }', 'listen[0].tls.key', /is not the key of the certificate/],
      ['{ cert: good.crt, key: good.key, client_ca: none }', 'listen[0].tls.client_ca', /cannot be read/],
      ['{ cert: good.crt, key: good.key, client_ca: good.key }', 'listen[0].tls.client_ca', /holds no certificate/],
      [
        '{ cert: good.crt, key: good.key, certificates: [{ cert: good.crt, key: good.crt }] }',
        'listen[0].tls.certificates[0].key',
        /holds no private key/,
      ],
    ]
    for (const [tls, path, says] of cases) {
      const text = withListen(`  - { address: ":8443", tls: ${tls} }`)
      const problems = await tlsProblems(text, { files, checksCertificates: true })
      assert.equal(problems.length, 1, tls)
      const [problem] = problems
      assert.deepEqual([problem?.severity, problem?.path, problem?.line], ['error', path, 3], tls)
      assert.match(problem?.message ?? '', says)
      assert.ok(problem?.hint, tls)
      assert.deepEqual(await tlsProblems(text, { files }), [], 'a command that serves nothing does not read them')
    }
  })

  test('that have ended are a warning: the rest of the gateway shall start', async () => {
    const text = withListen('  - { address: ":8443", tls: { cert: outdated.crt, key: outdated.key } }')
    const [problem, ...more] = await tlsProblems(text, { files, checksCertificates: true })
    assert.deepEqual([problem?.severity, problem?.path, more], ['warning', 'listen[0].tls.cert', []])
    assert.match(problem?.message ?? '', /"outdated.crt" has expired: it ended on/)
  })
})

test('listeners that only redirect leave nobody to serve', async () => {
  const tls = 'tls: { cert: a, key: b }'
  const cases: [listen: string, path: string | undefined, says: RegExp][] = [
    ['  - { address: ":80", redirect_to_https: true }', 'listen[0].redirect_to_https', /none serves them/],
    [`  - { address: ":80", redirect_to_https: true }\n  - { address: ":443", ${tls} }`, undefined, /./],
    ['  - { address: ":80", redirect_to_https: 8443 }\n  - { address: "unix:/run/a" }', undefined, /./],
    [
      `  - { address: ":443", ${tls} }\n  - { address: ":8443", redirect_to_https: true, ${tls} }`,
      'listen[1].redirect_to_https',
      /in a circle/,
    ],
    [
      '  - { address: ":80", redirect_to_https: 0 }',
      'listen[0].redirect_to_https',
      /must be a whole number from 1 to 65535/,
    ],
  ]
  for (const [listen, path, says] of cases) {
    const [problem] = await tlsProblems(withListen(listen))
    assert.equal(problem?.severity === 'error' ? problem.path : undefined, path, listen)
    assert.match(problem?.message ?? '.', says)
  }
})

test('a listener that redirects alone takes what a proxy in front has decrypted', async () => {
  const redirect = '  - { address: "10.0.0.2:80", proxy_protocol: true, redirect_to_https: true }'
  const cases: [other: string, warns: boolean][] = [
    ['{ address: "127.0.0.1:8080" }', true],
    ['{ address: "10.0.0.2:443", proxy_protocol: true }', false],
    ['{ address: "10.0.0.2:443", tls: { cert: a, key: b } }', false],
  ]
  for (const [other, warns] of cases) {
    const problems = await tlsProblems(`trusted_proxies: [10.0.0.5]\n${withListen(`${redirect}\n  - ${other}`)}`)
    assert.deepEqual(
      problems.map(({ path, severity }) => [path, severity]),
      warns ? [['listen[0].redirect_to_https', 'warning']] : [],
      other,
    )
  }
})

test('a cookie that follows the listener is no longer a worry where all of them encrypt', async () => {
  const text = (listen: string): string => withListen(listen).replace('session: { cookie_secure: true }\n', '')
  const tls = '  - { address: ":443", tls: { cert: a, key: b } }'
  const plain = '  - { address: ":80" }'
  const redirect = '  - { address: ":80", redirect_to_https: true }'
  assert.deepEqual(await tlsProblems(text(`${tls}\n${redirect}`)), [])
  assert.match((await tlsProblems(text(`${tls}\n${plain}`)))[0]?.message ?? '', /plain http with cookie_secure: auto/)
})
