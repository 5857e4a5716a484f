import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import type { HistoryView } from '../../src/admin/views.ts'
import { requireServer } from '../support/requirement.ts'
import { faultsOf, openBrowser, openStage, type PageStage, shoot, visit } from './page-stage.ts'

const chromium = requireServer('chromium')
/** `SESSIONGATE_PICTURES=docs` renews those of the documentation. */
const isForDocs = process.env.SESSIONGATE_PICTURES === 'docs'
const documented: Readonly<Record<string, string>> = {
  'overview-light-1280': 'page-overview.png',
  'explained-light-1280': 'page-explain.png',
  'found-dark-1280': 'page-sessions.png',
  'live-dark-320': 'page-live-phone.png',
}
const images = resolve(import.meta.dirname, '../../docs/images')

/** An hour as a shop might have had it: what the gateway of a test has counted would be a dot. */
function hour(): HistoryView {
  const points = Array.from({ length: 360 }, (_, i) => i)
  const end = Date.parse(`${new Date().toISOString().slice(0, 10)}T12:00:00Z`)
  const wave = (i: number, size: number, phase: number) =>
    size * (1 + 0.35 * Math.sin(i / 40 + phase) + 0.08 * Math.sin(i / 7 + 3 * phase) + 0.05 * Math.sin(i / 2.3))
  const series = (size: number, phase: number) => points.map((i) => (i < 30 ? null : Math.max(0, wave(i, size, phase))))
  const spike = points.map((i) => (i < 30 ? null : i > 220 && i < 240 ? 3.2 : i % 37 === 0 ? 0.3 : 0))
  return {
    every_seconds: 10,
    at: points.map((i) => new Date(end - (359 - i) * 10_000).toISOString()),
    series: {
      requests: series(140, 0),
      with_session: series(90, 0),
      errors: spike,
      refused: series(0.9, 2),
      sent_to_login: series(0.35, 1),
      sessions_begun: series(0.2, 1.2),
      sessions_renewed: series(0.12, 1.4),
      sessions_revoked: points.map((i) => (i > 300 && i < 312 ? 0.2 : 0)),
      overhead_p99_seconds: points.map((i) =>
        i < 30 ? null : 0.0008 + 0.0003 * Math.abs(Math.sin(i / 23)) + (i > 220 && i < 236 ? 0.002 : 0),
      ),
      in_flight: series(12, 0),
      web_sockets: series(40, 3),
    },
  }
}

async function logPeopleIn(stage: PageStage): Promise<void> {
  const people = ['ada', 'grace', 'zoë', 'linus-the-one-with-a-very-long-user-id@departments.example.com']
  for (const [at, id] of people.entries())
    await stage.logIn({
      userInfo: { id, role: at % 2 === 0 ? 'ops' : 'clerk' },
      cart: ['sencha', 'assam'],
      seen_the_tour: true,
    })
  await stage.logIn({ userInfo: { id: 'ada', role: 'ops' } })
}

interface Scene {
  readonly name: string
  readonly hash: string
  /** What is there when it is whole. */
  readonly whole: string
  readonly act?: (page: Page, stage: PageStage) => Promise<void>
}

const scenes: readonly Scene[] = [
  { name: 'overview', hash: 'overview', whole: 'Logins and sessions' },
  {
    name: 'table',
    hash: 'overview',
    whole: 'Logins and sessions',
    act: (page) => page.getByText('As a table').last().click(),
  },
  {
    name: 'menu',
    hash: 'keys',
    whole: 'HS256',
    async act(page) {
      const button = page.getByRole('button', { name: 'Menu' })
      if (await button.isVisible()) await button.click()
      await page.getByRole('link', { name: 'Upstreams' }).waitFor()
    },
  },
  { name: 'routes', hash: 'routes', whole: 'who is logged in' },
  { name: 'explained', hash: 'routes?method=GET&url=%2Fops%2Freports%3Fyear%3D2026', whole: 'Is sent to the login' },
  { name: 'sessions', hash: 'sessions', whole: 'Find by' },
  { name: 'found', hash: 'sessions?by=all', whole: '5 sessions shown' },
  {
    name: 'session',
    hash: 'sessions?user=grace',
    whole: '1 session shown',
    async act(page) {
      await page.locator('td a').first().click()
      await page.getByText('"clerk"').waitFor()
    },
  },
  {
    name: 'question',
    hash: 'sessions?user=ada',
    whole: '2 sessions shown',
    async act(page) {
      await page.getByRole('button', { name: 'Revoke all of this user' }).click()
      await page.getByRole('dialog').waitFor()
    },
  },
  { name: 'upstreams', hash: 'upstreams', whole: '127.0.0.1:9' },
  {
    name: 'live',
    hash: 'live',
    whole: 'Pause',
    async act(page, { gateway }) {
      await page.getByRole('status').filter({ hasText: 'Live' }).waitFor()
      for (const path of [
        '/',
        '/orders/2026/a-rather-long-path-with-many-words/and-a-name.html',
        '/ops/',
        '/a//b',
        '/login',
        '/login',
      ])
        await fetch(`${gateway.url}${path}`, { redirect: 'manual', headers: { accept: 'text/html' } })
      await page.getByText('6 requests of the last 6').waitFor()
    },
  },
  { name: 'configuration', hash: 'configuration', whole: 'With all defaults' },
  { name: 'keys', hash: 'keys', whole: 'HS256' },
  { name: 'store', hash: 'store', whole: 'Answers in' },
]

/** Every view in one of the schemes, at three widths: looked at by axe-core, and put into a picture. */
export function describeLooks(colorScheme: 'light' | 'dark'): void {
  describe(`the looks of the operator’s page, ${colorScheme}`, { skip: chromium.skip }, () => {
    let browser: Browser
    let stage: PageStage
    before(async () => {
      browser = await openBrowser(chromium.path)
      stage = await openStage()
      await logPeopleIn(stage)
    })
    after(async () => {
      await browser.close()
      await stage[Symbol.asyncDispose]()
    })

    for (const width of [320, 768, 1280]) {
      test(`${width} px: nothing keeps anybody out, nothing is cut off`, async () => {
        const viewport = { width, height: width === 320 ? 640 : 800 }
        const options = { colorScheme, viewport, reducedMotion: 'reduce', timezoneId: 'UTC' } as const
        await using there = await visit(browser, stage, options)
        const { page } = there
        await page.route('**/api/history', (route) => route.fulfill({ json: hour() }))
        await look(page, `login-${colorScheme}-${width}`)
        await there.enter()
        for (const { name, hash, whole, act } of scenes) {
          await there.open(hash)
          await page.reload()
          await page.getByText(whole).first().waitFor()
          await act?.(page, stage)
          await look(page, `${name}-${colorScheme}-${width}`)
        }
      })
    }
  })
}

async function look(page: Page, name: string): Promise<void> {
  // What lies behind a dialog is dimmed as far as the window goes.
  const path = await shoot(page, name, !name.startsWith('question'))
  const wide = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
  assert.equal(wide, 0, `${name} is wider than the window`)
  // What is said to a screen reader does not differ between the two wider ones.
  if (!name.endsWith('768')) assert.deepEqual(await faultsOf(page), [], name)
  const image = documented[name]
  if (!isForDocs || image === undefined) return
  mkdirSync(images, { recursive: true })
  copyFileSync(path, join(images, image))
}
