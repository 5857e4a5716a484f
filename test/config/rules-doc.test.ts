import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { GatewayError } from '../../src/errors.ts'
import { readTarget } from '../../src/http/target.ts'
import { compileExpression } from '../../src/rules/expressions.ts'
import { compileRouteTable } from '../../src/rules/route-table.ts'
import { runCommand } from '../support/command.ts'
import { loadText } from './sample.ts'

const checkout = resolve(import.meta.dirname, '../..')
const page = readFileSync(join(checkout, 'docs/rules.md'), 'utf8')

function block(language: string): string {
  const [, text = ''] = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(page) ?? []
  assert.notEqual(text, '', `docs/rules.md has no block in ${language}`)
  return text
}

/** Somebody for whom every expression of the page holds. */
const friend = {
  data: new Map([
    [
      'userInfo',
      '{"role":"admin","groups":["ops","ops-eu"],"email":"ada@example.com","age":36,"can_write":true,"is_staff":true}',
    ],
  ]),
  method: 'GET',
  path: '/users/7',
  host: 'app.example.com',
  clientIp: '10.1.2.3',
  headers: ['X-Client-Version', '3'],
}

for (const text of block('cel').trim().split('\n')) {
  test(`the expression of docs/rules.md compiles and holds: ${text}`, () => {
    assert.deepEqual(compileExpression(text).evaluate(friend), { holds: true })
  })

  test(`and for a stranger from elsewhere it comes out, one way or the other: ${text}`, () => {
    const stranger = { ...friend, data: new Map(), method: 'POST', path: '/', clientIp: '192.0.2.1', headers: [] }
    assert.equal(compileExpression(text).evaluate(stranger).holds, false)
  })
}

/** What the page says of paths, under the page's own file; a code, or the route. */
const readings: readonly [why: string, path: string, becomes: string][] = [
  ['the guarded path', '/admin/users', 'admin'],
  ['the path itself', '/admin', 'admin'],
  ['an encoded letter is that letter', '/%61dmin', 'admin'],
  ['letters in another case do not lead around a rule', '/Admin/users', 'ERR_TARGET_AMBIGUOUS'],
  ['nor do parameters', '/admin;x=1', 'ERR_TARGET_AMBIGUOUS'],
  ['nor does a space at the end', '/admin%20', 'ERR_TARGET_AMBIGUOUS'],
  ['where nothing stricter hides, capitals and slashes are only that', '/About/', 'app'],
  ['an encoded slash', '/a%2Fb', 'ERR_TARGET_AMBIGUOUS'],
  ['encoded twice', '/a%252Fb', 'ERR_TARGET_AMBIGUOUS'],
  ['two slashes', '//admin', 'ERR_TARGET_AMBIGUOUS'],
  ['dot segments', '/static/../admin', 'ERR_TARGET_AMBIGUOUS'],
  ['a backslash', '/static\\..\\admin', 'ERR_TARGET_INVALID'],
  ['a fragment', '/admin#/static', 'ERR_TARGET_INVALID'],
  ['a broken escape', '/%zz', 'ERR_TARGET_INVALID'],
  ['an encoded NUL', '/admin%00', 'ERR_TARGET_INVALID'],
]

test('docs/rules.md is right about the readings of a path', async (t) => {
  const { config } = await loadText(block('yaml'))
  const table = compileRouteTable(config.routes, config.hosts)
  const host = { name: 'app.example.com', received: 'app.example.com' }
  for (const [why, path, becomes] of readings) {
    await t.test(`${why}: ${path}`, () => {
      const select = (): string => table.select({ method: 'GET', host: host.name, target: readTarget(path, host) }).id
      if (becomes.startsWith('ERR_')) {
        assert.throws(select, (error) => error instanceof GatewayError && error.code === becomes)
      } else assert.equal(select(), becomes)
    })
  }
})

test('explain says of the file of docs/rules.md what the page shows', async () => {
  const [, line = '', shown] = /^\$ sessiongate (.*)\n([\s\S]*)$/.exec(block('console')) ?? []
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-rules-'))
  try {
    await writeFile(join(folder, 'my.yaml'), block('yaml'))
    const args = [join(checkout, 'src/main.ts'), ...line.split(' ')]
    const { code, stdout, stderr } = await runCommand(process.execPath, args, { cwd: folder })
    assert.equal(code, 0, stderr)
    assert.equal(stdout, shown)
  } finally {
    await rm(folder, { recursive: true })
  }
})
