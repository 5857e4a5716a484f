import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import axe, { type AxeResults } from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium as browserType, type Page } from 'playwright-core'
import { startApp } from '../support/echo-upstream.ts'
import { startGateway } from '../support/gateway.ts'

const checkout = resolve(import.meta.dirname, '../..')
const pictures = join(checkout, 'test/output/page')

export const TOKEN = 'the-token-of-this-page-0123456789'

export function configOf(origin: string, token = TOKEN): string {
  return `version: 1
listen: [{ address: "127.0.0.1:0" }]
hosts: [127.0.0.1]
admin: { listen: "127.0.0.1:0", token: ${token}, show_values: true }
session: { user_id: userInfo.id, user_index: true }
upstreams: { shop: { servers: ["${origin}", "http://127.0.0.1:9"], writeback: { allow: ["*"] } } }
routes:
  - { id: login, match: { path: /login }, upstream: shop, auth: public }
  - { id: ops, match: { path: /ops/* }, upstream: shop, auth: required, allow: 'session.userInfo.role == "ops"' }
  - { id: shop, match: { path: /* }, upstream: shop, auth: required }
`
}

/** A gateway with a page, and an app that logs in whoever says what his session shall be. */
export async function openStage(more = '') {
  await using stack = new AsyncDisposableStack()
  const app = stack.use(
    await startApp((request, response) => {
      const { set } = request.headers
      if (typeof set === 'string') response.setHeader('X-Session-Set', set)
      response.end('app')
    }),
  )
  const gateway = stack.use(await startGateway({ config: `${configOf(app.origin)}${more}` }))
  const closing = stack.move()
  return {
    app,
    gateway,
    /** The cookie of a new session with that in it. */
    async logIn(session: object): Promise<string> {
      const set = JSON.stringify(session).replace(
        /[\u0080-\uffff]/g,
        (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
      )
      const answer = await fetch(`${gateway.url}/login`, { method: 'POST', headers: { set } })
      return answer.headers.getSetCookie()[0]?.split(';', 1)[0] ?? ''
    },
    statusWith: async (cookie: string) => (await fetch(`${gateway.url}/`, { headers: { cookie } })).status,
    async ask(path: string) {
      const answer = await fetch(`${gateway.operatorUrl}${path}`, { headers: { authorization: `Bearer ${TOKEN}` } })
      // biome-ignore lint/suspicious/noExplicitAny: answers are judged member by member
      return (await answer.json()) as any
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

export type PageStage = Awaited<ReturnType<typeof openStage>>

export async function openBrowser(executablePath: string): Promise<Browser> {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update']
  return await browserType.launch({ executablePath, args: [...args, '--no-first-run'] })
}

/** The operator's browser, which watches what the page does. */
export interface Visit extends AsyncDisposable {
  readonly page: Page
  /** What the console said, less that a request was refused. */
  readonly complaints: string[]
  /** Types the token and comes in, to the view with that title. */
  enter(token?: string, title?: string): Promise<void>
  /** By the address, as by a link. */
  open(hash: string): Promise<void>
}

/** On the way out it makes sure that nothing but the operator's listener was asked, and that the browser had nothing to say. */
export async function visit(browser: Browser, stage: PageStage, options: BrowserContextOptions = {}): Promise<Visit> {
  const { operatorUrl } = stage.gateway
  const context = await browser.newContext({ locale: 'en-GB', ...options })
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  const complaints: string[] = []
  const strange: string[] = []
  page.on('console', (message) => {
    if (!message.text().startsWith('Failed to load resource')) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  context.on('request', (request) => {
    if (!request.url().startsWith(`${operatorUrl}/`)) strange.push(request.url())
  })
  await page.addInitScript(
    "addEventListener('securitypolicyviolation', (event) => console.error('violation: ' + event.violatedDirective))",
  )
  await page.goto(`${operatorUrl}/`)
  return {
    page,
    complaints,
    async enter(token = TOKEN, title = 'Overview') {
      await page.getByLabel('Token').fill(token)
      await page.getByRole('button', { name: 'Open' }).click()
      await page.getByRole('heading', { level: 1, name: title }).waitFor()
    },
    async open(hash) {
      await page.goto(`${operatorUrl}/#/${hash}`)
    },
    async [Symbol.asyncDispose]() {
      const cookies = await context.cookies()
      await context.close()
      assert.deepEqual({ complaints, strange, cookies }, { complaints: [], strange: [], cookies: [] })
    },
  }
}

/** Runs in the browser: what has the focus is called that, and can be told from what has not. */
const focused = `(() => {
  const element = document.activeElement
  if (element === null || element === document.body) return { name: '', isSeen: true }
  const { outlineStyle, outlineWidth } = getComputedStyle(element)
  const name = element.getAttribute('aria-label') ?? element.labels?.[0]?.textContent ?? element.textContent
  return { name, isSeen: outlineStyle !== 'none' && outlineWidth !== '0px' }
})()`

/** Goes on by Tab until the focus is on what is called so; each step must be seen. */
export async function tabTo(page: Page, name: string | RegExp): Promise<void> {
  const passed: string[] = []
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press('Tab')
    const at = await page.evaluate<{ name: string; isSeen: boolean }>(focused)
    assert.ok(at.isSeen, `the focus is not seen on ${at.name}`)
    if (typeof name === 'string' ? at.name === name : name.test(at.name)) return
    passed.push(at.name)
  }
  assert.fail(`Tab does not come to ${name}; it passed ${passed.join(', ')}`)
}

/** What axe-core finds that keeps somebody out, or nearly. */
export async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<AxeResults>(
    "axe.run(document, { preload: false, resultTypes: ['violations'] })",
  )
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`),
    )
}

export async function shoot(page: Page, name: string, fullPage: boolean): Promise<string> {
  mkdirSync(pictures, { recursive: true })
  const path = join(pictures, `${name}.png`)
  await page.screenshot({ path, fullPage })
  return path
}
