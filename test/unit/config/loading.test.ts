// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type LoadOptions, loadConfig } from '../../../src/config/loading.ts'
import { ConfigError, formatProblems } from '../../../src/config/problem.ts'
import { errorsOf, loadText, MINIMAL, problemsOf, withSections } from '../../config/sample.ts'

async function refusal(options: Partial<LoadOptions>): Promise<ConfigError> {
  try {
    await loadConfig({ path: 'gate.yaml', env: {}, ...options })
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error
  }
  assert.fail('it was not refused')
}

test('a file is read from the disk', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
  try {
    await writeFile(join(folder, 'gate.yaml'), MINIMAL)
    const { config } = await loadConfig({ path: 'gate.yaml', env: {}, workingDirectory: folder })
    assert.equal(config.routes.length, 2)
  } finally {
    await rm(folder, { recursive: true })
  }
})

const unreadable: [why: string, read: () => Promise<Uint8Array>, message: RegExp][] = [
  ['no such file', () => Promise.reject(Object.assign(new Error('x'), { code: 'ENOENT' })), /no such file/],
  [
    'no permission',
    () => Promise.reject(Object.assign(new Error('x'), { code: 'EACCES' })),
    /cannot be read \(EACCES\)/,
  ],
  ['no UTF-8', async () => Buffer.from([0x61, 0xff]), /not UTF-8/],
  ['too large', async () => Buffer.alloc(1024 * 1024 + 1, 'a'), /larger than 1048576 bytes/],
]

for (const [why, readFile, message] of unreadable) {
  test(`refused, with the file’s name and the way out: ${why}`, async () => {
    const { problems } = await refusal({ readFile })
    assert.equal(problems.length, 1)
    assert.equal(problems[0]?.file, 'gate.yaml')
    assert.match(problems[0]?.message ?? '', message)
    assert.ok(problems[0]?.hint)
  })
}

test('a secret file that is too large or no UTF-8 is a problem of the line that names it', async () => {
  const text = withSections('session: { secret_key: "${file:/s}" }')
  for (const content of [Buffer.alloc(2 * 1024 * 1024), Buffer.from([0xff])]) {
    const readFile = async (path: string) => (path === '/s' ? content : Buffer.from(text))
    const { problems } = await refusal({ readFile })
    assert.ok(
      problems.some(({ path, line }) => path === 'session.secret_key' && line === 4),
      formatProblems(problems),
    )
  }
})

test('a byte order mark is not part of the file', async () => {
  const readFile = async () => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(MINIMAL)])
  assert.equal((await loadConfig({ path: 'gate.yaml', env: {}, readFile })).config.version, 1)
})

test('lines may end as on Windows', async () => {
  const { config } = await loadText(MINIMAL.replaceAll('\n', '\r\n'))
  assert.equal(config.routes.length, 2)
  const [problem] = await problemsOf(MINIMAL.replace('version: 1', 'version: 2').replaceAll('\n', '\r\n'))
  assert.deepEqual(problem?.excerpt, ['version: 2', '         ^'])
})

test('a problem is told with file, line, column, carets and the way out', async () => {
  const problems = await errorsOf(MINIMAL.replace('cookie_secure', 'cookie_secur'))
  assert.equal(
    formatProblems(problems).split('\n\n')[0],
    [
      'gate.yaml:3:12: error: unknown key "cookie_secur" in session',
      '    3 | session: { cookie_secur: true }',
      '      |            ^^^^^^^^^^^^',
      '      = did you mean cookie_secure?',
    ].join('\n'),
  )
})

test('problems come in the order of the file, and the error’s message holds them all', async () => {
  const text = `${withSections('mode: x', 'listen: 5')}zzz: 1\n`
  const { problems, message } = await refusal({ readFile: async () => Buffer.from(text) })
  const lines = problems.map(({ line }) => line ?? 0)
  assert.deepEqual(
    lines,
    lines.toSorted((a, b) => a - b),
  )
  assert.equal(message, formatProblems(problems))
})

test('the excerpt of a long line is cut around the place, and one without end is left out', async () => {
  const long = await problemsOf(`version: ${' '.repeat(200)}2 # ${'x'.repeat(300)}`)
  const near = long.find(({ path }) => path === 'version')
  const [line = '', carets = ''] = near?.excerpt ?? []
  assert.ok(line.length < 120)
  assert.equal(line.charAt(carets.indexOf('^')), '2')
  const [far] = await problemsOf(`version: 2 # ${'x'.repeat(5000)}`)
  assert.equal(far?.excerpt, undefined)
})

test('control characters of a file do not reach the terminal', async () => {
  const problems = await problemsOf(`${MINIMAL}"a\u202eb": "\u001b[31m"\n`)
  const shown = formatProblems(problems)
  assert.ok(!shown.includes('\u001b') && !shown.includes('\u202e'), JSON.stringify(shown))
})

test('a file of ten thousand mistakes is answered with the first thousand', async () => {
  const problems = await problemsOf(`${MINIMAL}${Array.from({ length: 10_000 }, (_, at) => `k${at}: 1`).join('\n')}\n`)
  assert.equal(problems.length, 1000)
})

test('an alias that leads nowhere is told once', async () => {
  const problems = await problemsOf(withSections('mode: *nobody'))
  assert.equal(problems.filter(({ line }) => line === 5).length, 1)
})
