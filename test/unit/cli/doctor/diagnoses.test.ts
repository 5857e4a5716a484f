import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { chmod, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { examineAreas } from '../../../../src/cli/doctor/areas.ts'
import { diagnoseEnd, diagnoseNames } from '../../../../src/cli/doctor/certificates.ts'
import {
  diagnoseCookie,
  diagnoseKeys,
  diagnoseProblems,
  diagnoseTrust,
} from '../../../../src/cli/doctor/configuration.ts'
import { reportJson, reportText, tallyOf } from '../../../../src/cli/doctor/report.ts'
import { diagnoseResources, diagnoseRuntime } from '../../../../src/cli/doctor/runtime.ts'
import { diagnoseFiles, secretsOf } from '../../../../src/cli/doctor/secrets.ts'
import { parseStatuses } from '../../../../src/cli/doctor/verifier.ts'
import type { Config } from '../../../../src/config/config.ts'
import { type Diagnosis, fault, good, warning } from '../../../../src/lib/diagnosis.ts'
import { diagnoseInfo } from '../../../../src/sessions/caches/redis-examination.ts'
import { diagnoseFolderMode } from '../../../../src/sessions/files/folder-examination.ts'
import { loadText } from '../../../config/sample.ts'
import { openAuthority } from '../../../support/certificates.ts'

const common = `version: 1
upstreams: { app: { servers: ["http://127.0.0.1:8000"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: public }]
`
const longSecret = 'abcdefghijklmnopqrstuvwxyz0123456789'

async function configOf(lines: string): Promise<Config> {
  return (await loadText(`${common}${lines}`)).config
}

function verdicts(diagnoses: readonly Diagnosis[]): string[] {
  return diagnoses.map(({ verdict }) => verdict)
}

function bad(diagnoses: readonly Diagnosis[]): string {
  return diagnoses.flatMap(({ verdict, text }) => (verdict === 'good' ? [] : [`${verdict}: ${text}`])).join('; ')
}

describe('a report', () => {
  const hostile = '\u001b]0;owned\u0007\u009b31m\u202eevil\nfake line'

  test('names each area once, marks what is wrong, and counts it', () => {
    const reports = [
      { name: 'keys', diagnoses: [good('fine'), warning('short', 'make a longer one')] },
      { name: 'empty', diagnoses: [] },
      { name: 'apps', diagnoses: [fault('gone')] },
    ]
    assert.equal(reportText(reports), 'keys\n  ✓ fine\n  ! short\n      make a longer one\napps\n  ✗ gone\n')
    assert.deepEqual(tallyOf(reports), { warnings: 1, faults: 1 })
    assert.deepEqual(JSON.parse(reportJson(reports, 'x.yaml')), {
      ok: false,
      file: 'x.yaml',
      warnings: 1,
      faults: 1,
      checks: [
        { area: 'keys', verdict: 'good', text: 'fine' },
        { area: 'keys', verdict: 'warning', text: 'short', advice: 'make a longer one' },
        { area: 'apps', verdict: 'fault', text: 'gone' },
      ],
    })
  })

  test('steers no terminal, whatever a server has said', () => {
    const reports = [{ name: hostile, diagnoses: [fault(hostile, hostile)] }]
    for (const text of [reportText(reports), JSON.stringify(JSON.parse(reportJson(reports, hostile)))]) {
      assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u)
    }
    assert.equal(reportText(reports).split('\n').length, 4)
  })
})

test('what hangs is a fault after its time, and what fails is one with its words; the others do not wait', async () => {
  const reports = await examineAreas(
    [
      { name: 'hangs', examine: () => new Promise(() => {}) },
      { name: 'fails', examine: () => Promise.reject(new Error('no way', { cause: new Error('no road') })) },
      { name: 'throws', examine: () => assert.fail('at once') },
      { name: 'works', examine: () => [good('fine')] },
    ],
    50,
  )
  assert.deepEqual(
    reports.map(({ name, diagnoses }) => `${name}: ${diagnoses[0]?.verdict} ${diagnoses[0]?.text}`),
    [
      'hangs: fault no answer within 0.05 s',
      'fails: fault no way: no road',
      'throws: fault at once',
      'works: good fine',
    ],
  )
})

test('a problem of the file is a fault or a warning with its place', () => {
  const at = { file: 'a.yaml', path: 'x', line: 3, column: 7 }
  const problems = [
    { ...at, severity: 'error', message: 'no', hint: 'write yes' },
    { ...at, severity: 'warning', message: 'maybe' },
  ] as const
  assert.deepEqual(diagnoseProblems('a.yaml', problems), [
    fault('a.yaml:3:7: no', 'write yes'),
    warning('a.yaml:3:7: maybe'),
  ])
  assert.deepEqual(verdicts(diagnoseProblems('a.yaml', [])), ['good'])
})

test('the runtime: a Node without a fix, and root, are warnings', () => {
  assert.equal(bad(diagnoseRuntime('26.12.1', 1000)), '')
  assert.match(bad(diagnoseRuntime('24.0.0', 1000)), /^warning: Node 24\.0\.0 lacks/)
  assert.match(bad(diagnoseRuntime('26.12.1', 0)), /^warning: this runs as root/)
})

test('open files against clients, workers against cores', async () => {
  const config = await configOf('workers: 4\nlimits: { connections: 5000 }\n')
  const cases: [why: string, openFiles: number | undefined, cores: number, bad: RegExp][] = [
    ['enough of both', 65_536, 4, /^$/],
    ['no limit', undefined, 8, /^$/],
    [
      'fewer files than clients',
      4096,
      4,
      /limits\.connections allows 5000 clients, and 4096 open files hold about 3472/,
    ],
    ['fewer cores than workers', 65_536, 2, /^warning: 4 workers on 2 cores/],
  ]
  for (const [why, openFiles, cores, expected] of cases) {
    assert.match(bad(diagnoseResources(config, { openFiles, cores })), expected, why)
  }
  const small = await configOf('')
  assert.match(bad(diagnoseResources(small, { openFiles: 1024, cores: 1 })), /^warning: 1024 open files hold about 784/)
})

test('who is trusted: nobody is fine, half of the internet is not', async () => {
  const cases: [trusted: string, bad: RegExp][] = [
    ['[]', /^$/],
    ['[10.0.0.0/8, "::1", unix, "fd00::/8"]', /^$/],
    ['[64.0.0.0/2, 127.0.0.1]', /large part of the internet: 64\.0\.0\.0\/2$/],
    ['["2000::/3"]', /large part of the internet: 2000::\/3$/],
  ]
  for (const [trusted, expected] of cases) {
    const diagnoses = diagnoseTrust(await configOf(`trusted_proxies: ${trusted}\n`))
    assert.match(bad(diagnoses), expected, trusted)
  }
})

test('a cookie’s domain must take in the hosts that set it', async () => {
  const cases: [domain: string, hosts: string, bad: RegExp][] = [
    ['null', '[a.example]', /^$/],
    ['example.com', '[]', /^$/],
    ['example.com', '[example.com, a.example.com, "*.example.com"]', /^$/],
    ['.example.com', '[a.example.com]', /^$/],
    ['example.com', '[a.example.com, example.net]', /^warning: .*from example\.net$/],
    ['example.com', '[badexample.com]', /^fault: .*from badexample\.com$/],
  ]
  for (const [domain, hosts, expected] of cases) {
    const config = await configOf(`hosts: ${hosts}\nsession: { cookie_domain: ${domain} }\n`)
    assert.match(bad(diagnoseCookie(config)), expected, `${domain} ${hosts}`)
  }
})

test('what keys are to each other is told, and no key is', async () => {
  const key = (id: string, secret: string) => `{ id: ${id}, secret: ${secret} }`
  const cases: [lines: string, bad: RegExp][] = [
    ['', /^$/],
    [
      `session: { secret_key: ${longSecret} }\nkeys: [${key('a', `${longSecret}1`)}, ${key('b', `${longSecret}2`)}]`,
      /^$/,
    ],
    [`session: { secret_key: django-insecure-${longSecret} }`, /^warning: .*startproject/],
    [`session: { secret_key: ${longSecret}, secret_key_fallbacks: [${longSecret}] }`, /^warning: .*fallbacks too$/],
    [`keys: [${key('a', longSecret)}, ${key('b', longSecret)}]`, /^warning: two of the keys are the same/],
    [`session: { secret_key: ${longSecret} }\nkeys: [${key('a', longSecret)}]`, /^warning: .*signs assertions too/],
  ]
  for (const [lines, expected] of cases) {
    const diagnoses = diagnoseKeys(await configOf(`${lines}\n`))
    assert.match(bad(diagnoses), expected, lines)
    assert.ok(!JSON.stringify(diagnoses).includes(longSecret))
  }
})

test('Redis: a policy that throws sessions away is a warning where there is a limit', () => {
  const info = (policy: string, maxmemory: number, version = '7.2.0') =>
    `# Server\r\nredis_version:${version}\r\n# Memory\r\nmaxmemory:${maxmemory}\r\nmaxmemory_policy:${policy}\r\n`
  const cases: [why: string, info: string, bad: RegExp][] = [
    ['full, and refuses', info('noeviction', 1000), /^$/],
    ['never full', info('allkeys-lru', 0), /^$/],
    ['full, and throws away', info('volatile-lru', 1000), /^warning: .*\(maxmemory-policy volatile-lru\)$/],
    ['old', info('noeviction', 0, '5.0.3'), /^warning: Redis 5\.0\.3 is older than 6/],
    ['says nothing', '', /^$/],
  ]
  for (const [why, text, expected] of cases) assert.match(bad(diagnoseInfo('Redis', text)), expected, why)
})

test('a folder of session files is closed, readable, or open to everybody', () => {
  const cases: [mode: number, verdict: string][] = [
    [0o40700, 'good'],
    [0o40770, 'good'],
    [0o40755, 'warning'],
    [0o41777, 'warning'],
    [0o40777, 'fault'],
  ]
  for (const [mode, verdict] of cases) {
    assert.deepEqual(verdicts(diagnoseFolderMode('/x', mode)), [verdict], mode.toString(8))
  }
})

test('certificates: how long they are good, and for which hosts', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'sessiongate-doctor-'))
  const authority = await openAuthority(scratch.path)
  const leafOf = async (days: number) =>
    new X509Certificate((await authority.issue({ hosts: ['app.example.com', '*.shop.example.com'], days })).cert)
  // It is good from the second on in which it was made.
  const now = Date.now() + 2000
  assert.match(bad([diagnoseEnd('x.crt', await leafOf(2), now)]), /^warning: x\.crt is good for 1 more day$/)
  assert.equal(bad([diagnoseEnd('x.crt', await leafOf(40), now)]), '')
  assert.match(bad([diagnoseEnd('x.crt', await leafOf(2), now + 3 * 86_400_000)]), /^fault: x\.crt has expired/)
  const leaves = [await leafOf(2)]
  assert.equal(bad(diagnoseNames(leaves, ['app.example.com', '*.shop.example.com', 'a.shop.example.com'])), '')
  assert.match(
    bad(diagnoseNames(leaves, ['app.example.com', 'b.example.com', '*.example.com'])),
    /^warning: no certificate is for b\.example\.com, \*\.example\.com$/,
  )
})

test('files with secrets are for one user; what is read may not be replaced by others', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'sessiongate-doctor-'))
  const path = (name: string) => join(scratch.path, name)
  const config = await configOf(
    `session: { secret_key: ${longSecret} }\nkeys: [{ id: a, secret: ${longSecret}a }]\n` +
      'database: { url: "postgres://u:pass%20word@127.0.0.1/x" }\nadmin: { listen: 127.0.0.1:1, token: tokentokentokentokentoken }\n',
  )
  assert.deepEqual(
    [...secretsOf(config)],
    [longSecret, `${longSecret}a`, 'tokentokentokentokentoken', 'pass%20word', 'pass word'],
  )
  const read = async (name: string, text: string, mode: number) => {
    await writeFile(path(name), text)
    await chmod(path(name), mode)
    return bad(await diagnoseFiles(config, new Map([[path(name), Buffer.from(text)]])))
  }
  assert.equal(await read('plain.yaml', 'version: 1', 0o644), '')
  assert.equal(await read('closed', longSecret, 0o640), '')
  assert.match(
    await read('url', 'postgres://u:pass%20word@127.0.0.1/x', 0o644),
    /^warning: .*read the secret in .*url \(0644\)$/,
  )
  assert.match(await read('tls.key', '-----BEGIN PRIVATE KEY-----\n', 0o604), /^warning: .*tls\.key \(0604\)$/)
  assert.match(await read('all', 'version: 1', 0o666), /^fault: every user of this machine may change/)
  await chmod(scratch.path, 0o777)
  assert.match(await read('closed', longSecret, 0o600), /^fault: every user of this machine may replace the files in/)
  await chmod(scratch.path, 0o700)
})

test('statuses are written in classes and one by one', () => {
  const cases: [text: string, yes: number[], no: number[]][] = [
    ['2xx', [200, 204, 299], [199, 300, 403]],
    ['200', [200], [201, 204]],
    ['200, 302', [200, 302], [301, 403]],
    ['2XX,303', [201, 303], [302]],
  ]
  for (const [text, yes, no] of cases) {
    const { includes } = parseStatuses(text)
    assert.ok(yes.every(includes) && !no.some(includes), text)
  }
  for (const text of ['', 'ok', '600', '2x', '200;201'])
    assert.throws(() => parseStatuses(text), /are written as 2xx/, text)
})
