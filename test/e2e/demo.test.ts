import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { type Browser, type Page as BrowserPage, chromium as browserType } from 'playwright-core'
import { eventWithin, within } from '../support/deadline.ts'
import { type ExampleApp, startExampleApp } from '../support/example-app.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { createPageVisitor, type Page } from '../support/page-visitor.ts'
import { requireServer } from '../support/requirement.ts'

const checkout = resolve(import.meta.dirname, '../..')
const pictures = join(checkout, 'test/output/demo')
const chromium = requireServer('chromium')

interface Demo extends AsyncDisposable {
  readonly app: ExampleApp
  gateway: TestGateway
  /** Ends the gateway politely and starts it again in the same folder. */
  restart(): Promise<void>
  /** The keys of all stored sessions. */
  keys(): string[]
}

/** What `npm start` runs, in a folder and on ports of its own. */
async function startDemo(): Promise<Demo> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-demo-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const app = stack.use(await startExampleApp(folder))
  const start = () =>
    startGateway({
      config: readFileSync(join(checkout, 'config/sessiongate.yaml'), 'utf8'),
      folder,
      env: { APP: app.origin, LISTEN: '127.0.0.1:0', ADMIN_LISTEN: '127.0.0.1:0' },
    })
  const demo: Pick<Demo, 'gateway'> = { gateway: await start() }
  stack.defer(() => demo.gateway[Symbol.asyncDispose]())
  const closing = stack.move()
  return Object.assign(demo, {
    app,
    async restart() {
      assert.equal(await demo.gateway.stop(), 0)
      demo.gateway = await start()
    },
    keys() {
      using database = new DatabaseSync(join(folder, 'var/sessiongate.sqlite3'), { readOnly: true })
      const rows = database.prepare('SELECT session_key FROM django_session').all()
      return rows.map(({ session_key: key }) => String(key))
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  })
}

function erases({ setCookies }: Page): boolean {
  return setCookies.some((line) => /^sessionid=""; .*Max-Age=0;/.test(line))
}

describe('the demo', () => {
  test('from the login to the log-out, and across a restart', async () => {
    await using demo = await startDemo()
    const visitor = await createPageVisitor(demo.gateway.url)

    const stranger = await visitor.open('/')
    assert.deepEqual([stranger.status, stranger.location], [302, '/login?next=%2F'])
    assert.deepEqual([stranger.setCookies, demo.keys()], [[], []])

    const login = await visitor.open(stranger.location ?? '')
    assert.equal(login.status, 200)
    assert.match(login.html, /<form [^>]*method="post" action="\/login\?next=%2F"/)
    const name = 'Zoë <b>😀</b>'
    const loggedIn = await visitor.submit('/login?next=%2F', { name, password: 'any' })
    assert.deepEqual([loggedIn.status, loggedIn.location], [303, '/'])
    assert.match(
      loggedIn.setCookies.join('\n'),
      /^sessionid=[a-z0-9]{32}; expires=[^;]+; HttpOnly; Max-Age=1209600; Path=\/; SameSite=Lax$/,
    )
    const key = await visitor.cookie('sessionid')
    assert.deepEqual(demo.keys(), [key])

    assert.match((await visitor.open('/')).html, /<h1>Hello, Zoë &lt;b&gt;😀&lt;\/b&gt;\.<\/h1>/)
    for (const tea of ['sencha', 'sencha', 'assam']) await visitor.submit('/cart', { tea, step: '1' })
    assert.equal(await visitor.cookie('sessionid'), key)
    assert.match((await visitor.open('/')).html, /€ 12\.80/)

    await demo.restart()
    const again = await createPageVisitor(demo.gateway.url, [`sessionid=${key}`])
    assert.match((await again.open('/')).html, /Hello, Zoë .*€ 12\.80/s)

    const loggedOut = await again.submit('/logout', {})
    assert.deepEqual([loggedOut.status, loggedOut.location, erases(loggedOut)], [303, '/login', true])
    assert.deepEqual(demo.keys(), [])
    const thief = await createPageVisitor(demo.gateway.url, [`sessionid=${key}`])
    const refused = await thief.open('/')
    assert.deepEqual([refused.status, refused.location, erases(refused)], [302, '/login?next=%2F', true])
  })

  test('another login gets another key, and the old one leads nowhere', async () => {
    await using demo = await startDemo()
    const visitor = await createPageVisitor(demo.gateway.url)
    await visitor.submit('/login', { name: 'Ada', password: 'any' })
    const old = await visitor.cookie('sessionid')
    await visitor.submit('/login', { name: 'Grace', password: 'any' })
    assert.notEqual(await visitor.cookie('sessionid'), old)
    assert.deepEqual(demo.keys(), [await visitor.cookie('sessionid')])
    const thief = await createPageVisitor(demo.gateway.url, [`sessionid=${old}`])
    assert.equal((await thief.open('/')).status, 302)
  })

  test('the app itself answers nobody but the gateway, and a login leads to no other site', async () => {
    await using demo = await startDemo()
    const direct = await createPageVisitor(demo.app.origin)
    for (const path of ['/', '/login']) assert.equal((await direct.open(path)).status, 403)
    assert.equal((await direct.submit('/login', { name: 'Ada', password: 'any' })).status, 403)
    assert.equal((await direct.open('/healthz')).html, 'ok\n')

    const nexts: [next: string, location: string][] = [
      ['/?a=b&c=ü', '/?a=b&c=%C3%BC'],
      ['//evil.example', '/'],
      ['/\\evil.example', '/'],
      ['/\t/evil.example', '/'],
      ['/.//evil.example', '/'],
      ['https://evil.example/', '/'],
      ['javascript:alert(1)', '/'],
      ['', '/'],
    ]
    const visitor = await createPageVisitor(demo.gateway.url)
    for (const [next, location] of nexts) {
      // Not in the query, where the gateway would have looked at it first.
      const { location: found } = await visitor.submit('/login', { name: 'Ada', password: 'any', next })
      assert.equal(found, location, next)
    }
  })

  test('a form that is filled in badly is answered with a page, and stores nothing', async () => {
    await using demo = await startDemo()
    const visitor = await createPageVisitor(demo.gateway.url)
    assert.match((await visitor.open('/login')).html, /action="\/login\?next=%2F"/)
    for (const name of ['', '  ', '<'.repeat(81)]) {
      const { status, html, setCookies } = await visitor.submit('/login/?next=%2Fa', { name })
      assert.deepEqual([status, setCookies], [422, []])
      assert.match(html, /role="alert">A name has 1 to 80 characters\./)
      assert.match(html, new RegExp(`action="/login\\?next=%2Fa".*value="${'&lt;'.repeat(name.trim().length)}"`, 's'))
    }
    assert.deepEqual(demo.keys(), [])
    await visitor.submit('/login', { name: 'Ada' })
    assert.equal((await visitor.submit('/cart', { tea: '__proto__', step: '1' })).status, 422)
    await visitor.submit('/cart', { tea: 'assam', step: '1' })
    await visitor.submit('/cart', { tea: 'assam', step: '-1' })
    assert.match((await visitor.open('/')).html, /Nothing in it yet/)
  })
})

describe('the demo in a browser', { skip: chromium.skip }, () => {
  test('a person logs in, fills the cart and logs out, on a desk and on a phone', async () => {
    mkdirSync(pictures, { recursive: true })
    await using demo = await startDemo()
    await using browser = await openBrowser(chromium.path)
    const context = await browser.newContext({ viewport: { width: 1100, height: 800 } })
    const page = await context.newPage()
    const complaints = listen(page, demo.gateway.url)

    await page.goto(demo.gateway.url)
    assert.equal(page.url(), `${demo.gateway.url}/login?next=%2F`)
    await picture(page, 'login')
    await page.getByLabel('Name').fill('Zoë Ångström')
    await page.getByLabel('Password').fill('any')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('heading', { name: 'Hello, Zoë Ångström.' }).waitFor()
    assert.equal(page.url(), `${demo.gateway.url}/`)
    await picture(page, 'shop-empty')

    for (const tea of ['Sencha', 'Sencha', 'Rooibos']) {
      await page.getByRole('button', { name: `Put ${tea} into the cart` }).click()
    }
    await page.getByRole('button', { name: 'One Sencha more' }).click()
    await page.getByText('€ 17.00').waitFor()
    await page.reload()
    await page.getByText('€ 17.00').waitFor()
    await page.getByText('What the gateway told this app').click()
    await page.getByLabel('Claims').getByText('"auth": true').waitFor()
    await picture(page, 'shop')
    await page.emulateMedia({ colorScheme: 'dark' })
    await picture(page, 'shop-dark')
    for (const width of [320, 390]) {
      await page.setViewportSize({ width, height: 700 })
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width, 'nothing is wider than a phone')
      await picture(page, `shop-phone-${width}`)
    }

    const [cookie, ...others] = await context.cookies()
    assert.deepEqual([cookie?.name, cookie?.httpOnly, cookie?.sameSite, others], ['sessionid', true, 'Lax', []])
    assert.equal(await page.evaluate('document.cookie'), '')
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByRole('heading', { name: 'Log in' }).waitFor()
    await picture(page, 'login-phone')
    assert.deepEqual(await context.cookies(), [])
    if (cookie !== undefined) await context.addCookies([cookie])
    await page.goto(demo.gateway.url)
    assert.equal(page.url(), `${demo.gateway.url}/login?next=%2F`)
    assert.deepEqual(await context.cookies(), [])
    assert.deepEqual(complaints, [])
  })
})

describe('npm start', () => {
  test('prints what the gateway prints, and ends both programs when it is told to', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-start-'))
    try {
      const app = `http://127.0.0.1:${await freePort()}`
      const child = spawn(process.execPath, [join(checkout, 'scripts/demo.ts')], {
        cwd: folder,
        env: { APP: app, LISTEN: '127.0.0.1:0', ADMIN_LISTEN: '127.0.0.1:0' },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const told = text(child.stderr)
      const [first] = await eventWithin(child.stdout.setEncoding('utf8'), 'data', 30_000)
      const { msg, address } = JSON.parse(String(first).split('\n', 1)[0] ?? '')
      assert.equal(msg, 'listening')
      const visitor = await createPageVisitor(`http://${address}`)
      assert.equal((await visitor.open('/login')).status, 200)
      child.kill('SIGTERM')
      assert.deepEqual(await within('the demo to end', once(child, 'exit')), [0, null])
      assert.match(await told, new RegExp(`^sessiongate listens on http://${address}/$`, 'm'))
      await assert.rejects(fetch(`${app}/healthz`))
      await assert.rejects(fetch(`http://${address}/`))
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('names a port that somebody else has, in one line', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    try {
      const taken = `127.0.0.1:${portOf(other)}`
      const child = spawn(process.execPath, [join(checkout, 'scripts/demo.ts')], {
        env: { APP: `http://${taken}`, LISTEN: '127.0.0.1:0', ADMIN_LISTEN: '127.0.0.1:0' },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const output = Promise.all([text(child.stdout), text(child.stderr)])
      assert.deepEqual(await within('the demo to end', once(child, 'exit')), [1, null])
      assert.deepEqual(await output, [
        '',
        `${taken} is taken by another program: end it, or set APP (see config/sessiongate.yaml)\n`,
      ])
    } finally {
      other.close()
    }
  })
})

async function openBrowser(executablePath: string): Promise<Browser> {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update']
  return await browserType.launch({ executablePath, args: [...args, '--disable-sync', '--no-first-run'] })
}

/** What a person would not see: errors of the page, and requests to anywhere but the gateway. */
function listen(page: BrowserPage, url: string): string[] {
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('response', (response) => {
    if (response.status() >= 400 || !response.url().startsWith(`${url}/`)) complaints.push(response.url())
  })
  return complaints
}

async function picture(page: BrowserPage, name: string): Promise<void> {
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })
}

async function freePort(): Promise<number> {
  await using probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  return portOf(probe)
}

function portOf(server: ReturnType<typeof createServer>): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : assert.fail('no port')
}
