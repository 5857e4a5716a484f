import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Browser, chromium as browserType, type Page } from 'playwright-core'
import { openRows, openStage, type Stage } from '../security/stage.ts'
import { openAuthority } from '../support/certificates.ts'
import { type ExampleApp, startExampleApp } from '../support/example-app.ts'
import { bodyOf, createFormBrowser } from '../support/form-browser.ts'
import { formApp, formConfig } from '../support/form-stage.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { requireServer } from '../support/requirement.ts'

const chromium = requireServer('chromium')
const kept = '/.sessiongate/kept-post'

async function openSecureStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
  const issued = await (await openAuthority(folder)).issue({ hosts: ['localhost'] })
  await rm(folder, { recursive: true })
  return await openStage(
    `listen: [{ address: "127.0.0.1:0", tls: { cert: main.crt, key: main.key } }]\n${formConfig}`,
    { handler: formApp, files: { 'main.crt': issued.cert, 'main.key': issued.key } },
  )
}

function endSessions(folder: string): void {
  using database = openRows(folder)
  database.exec('DELETE FROM django_session')
}

test('a form whose session had ended is there again after the login, also after a restart', async () => {
  await using stage = await openStage(formConfig, { handler: formApp })
  const { port, folder } = stage.gateway
  const visitor = createFormBrowser(`http://app.test:${port}`, { port })
  await visitor.post('/login', '')
  endSessions(folder)
  const refused = await visitor.post('/big', `text=${'long+'.repeat(2_000)}end`)
  assert.equal(refused.status, 303)
  assert.match(refused.setCookies.join('\n'), /^sessionid="";/m, 'the dead cookie goes as ever')
  const loggedIn = await visitor.post(refused.location ?? '', '')
  assert.equal(loggedIn.location, `${kept}?back=%2Fedit%3Fid%3D7`)

  await stage.gateway.stop()
  await using again = await startGateway({
    config: formConfig.replaceAll('APP', stage.app.origin),
    folder,
  })
  const next = createFormBrowser(`http://app.test:${port}`, { port: again.port })
  const cookie = await visitor.cookiesFor(kept)
  const page = await next.open(loggedIn.location ?? '', { cookie, headers: { Host: `app.test:${port}` } })
  assert.equal(page.status, 200)
  assert.equal(bodyOf(page.html), `text=${'long+'.repeat(2_000)}end`)
  assert.match(page.html, /<a href="\/edit\?id=7">Do not send it<\/a>|<a href="&#47;edit/)
})

test('over https its cookie can be set by no sibling host', async () => {
  await using stage = await openSecureStage()
  const { port } = stage.gateway
  const visitor = createFormBrowser(`https://localhost:${port}`, { port })
  const { setCookies } = await visitor.post('/save', 'a=1')
  assert.match(
    setCookies.join('\n'),
    /^__Host-sessiongate_post=[\w-]{22}; HttpOnly; Max-Age=900; Path=\/; SameSite=Lax; Secure$/m,
  )
  await visitor.post('/login', '')
  const planted = (await visitor.cookiesFor(kept)).replace('__Host-', '')
  assert.equal((await visitor.open(kept, { cookie: planted })).status, 303)
})

describe('kept forms in a browser', { skip: chromium.skip }, () => {
  let browser: Browser
  before(async () => {
    const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update']
    browser = await browserType.launch({ executablePath: chromium.path, args: [...args, '--no-first-run'] })
  })
  after(() => browser.close())

  for (const scheme of ['http', 'https'] as const) {
    test(`${scheme}: what was written arrives byte for byte, once, after a click`, async () => {
      await using stage =
        scheme === 'http' ? await openStage(formConfig, { handler: formApp }) : await openSecureStage()
      const origin = `${scheme}://localhost:${stage.gateway.port}`
      const context = await browser.newContext({ ignoreHTTPSErrors: true })
      const page = await context.newPage()
      const complaints: string[] = []
      page.on('console', (message) => complaints.push(message.text()))
      const bodies = () => stage.app.requests.filter(({ url }) => url.startsWith('/save'))
      async function logIn(): Promise<void> {
        await page.getByRole('button', { name: 'Log in' }).click()
      }
      async function write(): Promise<void> {
        await page.getByRole('textbox').first().fill('Zoë & <b>\n\n "quotes" \' € 😀\t\u0001\u0085\u2028 +%41\n')
        await page.getByRole('textbox').nth(1).fill('ünï')
        await page.getByRole('button', { name: 'Save' }).click()
      }

      await page.goto(`${origin}/edit?id=7`)
      await logIn()
      await write()
      await page.waitForURL(`${origin}/done`)
      const [before] = bodies()
      assert.ok((before?.body.length ?? 0) > 100)

      await page.goto(`${origin}/edit?id=7`)
      endSessions(stage.gateway.folder)
      await write()
      await logIn()
      await page.getByRole('heading', { name: 'Send your form?' }).waitFor()
      assert.equal(bodies().length, 1, 'nothing is sent by arriving here')
      await page.reload()
      assert.equal(await page.evaluate('document.cookie'), '')
      await page.getByRole('button', { name: 'Send it now' }).click()
      await page.waitForURL(`${origin}/done`)
      const [, sent, ...more] = bodies()
      assert.deepEqual([sent?.body.toString(), more], [before?.body.toString(), []])
      assert.equal(sent?.url, '/save?id=7&x=%2F')
      assert.deepEqual(sent?.values('Origin'), [origin])
      assert.deepEqual(sent?.values('Content-Type'), before?.values('Content-Type'))
      const left = (await context.cookies([origin, origin + kept])).map(({ name }) => name)
      assert.deepEqual(left, ['sessionid'])

      await page.goto(`${origin}${kept}?back=%2Fedit%3Fid%3D7`)
      assert.equal(page.url(), `${origin}/edit?id=7`)
      assert.deepEqual(complaints, [])
      await context.close()
    })
  }

  test('the form of a foreign page is not there after the login', async () => {
    await using stage = await openStage(formConfig, { handler: formApp })
    const origin = `http://localhost:${stage.gateway.port}`
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.route('http://evil.test/', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<form method="post" action="${origin}/save"><input name="to" value="evil"><button>Win</button></form>`,
      }),
    )
    await page.goto('http://evil.test/')
    await page.getByRole('button').click()
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.waitForURL(`${origin}/`)
    assert.ok(stage.app.requests.every(({ url }) => !url.startsWith('/save')))
    await context.close()
  })

  test('the cart of the example app keeps what was put into it', async () => {
    await using shop = await openShop()
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(shop.gateway.url)
    await enter(page)
    endSessions(shop.gateway.folder)
    await page.getByRole('button', { name: 'Put Sencha into the cart' }).click()
    await enter(page)
    await page.getByRole('button', { name: 'Send it now' }).click()
    await page.getByText('€ 4.50').first().waitFor()
    await page.getByRole('button', { name: 'One Sencha more' }).waitFor()
    assert.equal(page.url(), `${shop.gateway.url}/`)
    await context.close()
  })
})

async function enter(page: Page): Promise<void> {
  await page.getByLabel('Name').fill('Zoë')
  await page.getByLabel('Password').fill('any')
  await page.getByRole('button', { name: 'Log in' }).click()
}

async function openShop(): Promise<{ readonly gateway: TestGateway; readonly app: ExampleApp } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-shop-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const app = stack.use(await startExampleApp(folder))
  const config = `upstreams: { app: { servers: ["${app.origin}"], writeback: { allow: ["*"] } } }
routes:
  - { id: static, match: { path: /static/* }, upstream: app, session: none }
  - { id: login, match: { path: [/login, /login/] }, upstream: app, auth: public }
  - { id: app, match: { path: /* }, upstream: app, auth: required, keep_post: {} }
`
  const gateway = stack.use(await startGateway({ config, folder }))
  const closing = stack.move()
  return { gateway, app, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}
