import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { runCommand } from '../support/command.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { createPageVisitor } from '../support/page-visitor.ts'
import { findFreePort } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'
import { startServerProgram } from '../support/server-program.ts'

const example = resolve(import.meta.dirname, '../../examples/php-app')
const main = resolve(import.meta.dirname, '../../src/main.ts')
const php = requireServer('php')
const SESSIONGATE_SECRET = 'a secret of more than thirty-two bytes'

describe('the PHP example behind its gateway', { skip: php.skip }, () => {
  const stack = new AsyncDisposableStack()
  let phpUrl: string
  let gateway: TestGateway

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-php-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const config = join(example, 'sessiongate.yaml')
    const derive = [main, 'keys', 'derive', '--upstream', 'php', '--config', config]
    const env = { PATH: process.env.PATH, SESSIONGATE_SECRET }
    const { code, stdout, stderr } = await runCommand(process.execPath, derive, { cwd: folder, env })
    assert.equal(code, 0, stderr)
    const port = await findFreePort()
    phpUrl = `http://127.0.0.1:${port}`
    stack.use(
      await startServerProgram(php.path, ['-S', `127.0.0.1:${port}`, '-t', join(example, 'public')], {
        cwd: folder,
        env: { PATH: process.env.PATH, SESSIONGATE_KEY: stdout.trim(), RECEIPTS: folder },
        listensOn: [port],
      }),
    )
    gateway = stack.use(
      await startGateway({
        config: readFileSync(config, 'utf8'),
        folder,
        env: { SESSIONGATE_SECRET, APP: phpUrl, LISTEN: '127.0.0.1:0', ADMIN_LISTEN: '127.0.0.1:0' },
      }),
    )
  })

  after(() => stack.disposeAsync())

  test('login, cart, logout', async () => {
    const visitor = await createPageVisitor(gateway.url)
    assert.equal((await visitor.open('/')).location, '/login.php?next=%2F')
    const page = await visitor.submit('/login.php?next=%2F', { name: 'Zoë <b>', password: 'any' })
    assert.deepEqual([page.status, page.location], [303, `${gateway.url}/`])
    for (const item of ['tea', 'tea', '<i>']) await visitor.submit('/cart.php', { item })
    const { html } = await visitor.open('/')
    assert.match(html, /Hello, Zoë &lt;b&gt;\./)
    assert.match(html, />tea: 2<[\s\S]*>&lt;i&gt;: 1</)
    assert.equal((await visitor.open('/receipt.php')).status, 404)
    const key = await visitor.cookie('sessionid')
    assert.equal((await visitor.submit('/logout.php', {})).location, `${gateway.url}/login.php`)
    const thief = await createPageVisitor(gateway.url, [`sessionid=${key}`])
    assert.equal((await thief.open('/')).location, '/login.php?next=%2F')
  })

  test('a `next` of another site leads home', async () => {
    const visitor = await createPageVisitor(gateway.url)
    const page = await visitor.submit('/login.php?next=//evil.example/', { name: 'Ada', password: 'any' })
    assert.equal(page.location, `${gateway.url}/`)
  })

  test('past the gateway every page is shut', async () => {
    for (const path of ['/', '/login.php', '/cart.php', '/receipt.php', '/logout.php']) {
      assert.equal((await fetch(phpUrl + path, { redirect: 'manual' })).status, 403, path)
    }
  })
})
