import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Browser, Page } from 'playwright-core'
import { createPageVisitor } from '../support/page-visitor.ts'
import { putConfig, reloadBy } from '../support/reloads.ts'
import { requireServer } from '../support/requirement.ts'
import { configOf, openBrowser, openStage, TOKEN, tabTo, type Visit, visit } from './page-stage.ts'

const chromium = requireServer('chromium')

describe('the operator’s page', { skip: chromium.skip }, () => {
  let browser: Browser
  before(async () => {
    browser = await openBrowser(chromium.path)
  })
  after(() => browser.close())

  const seen = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor()

  test('asks for the token, shows nothing without it, forgets it when it is told to', async () => {
    await using stage = await openStage()
    await using there: Visit = await visit(browser, stage)
    const { page } = there
    for (const wrong of ['x', `${TOKEN}x`, 'schlüssel', `two words`]) {
      await page.getByLabel('Token').fill(wrong)
      await page.getByRole('button', { name: 'Open' }).click()
      await page.getByRole('alert').filter({ hasText: 'does not take this token' }).waitFor()
      assert.equal(await page.getByRole('navigation').count(), 0)
    }
    await there.enter()
    await page.reload()
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
    assert.ok(!page.url().includes(TOKEN))
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByLabel('Token').waitFor()
    assert.equal(await page.evaluate('sessionStorage.length + localStorage.length'), 0)
    await page.reload()
    await page.getByLabel('Token').waitFor()
  })

  test('says so when the token is not taken any more', async () => {
    await using stage = await openStage()
    await using there = await visit(browser, stage)
    await there.enter()
    const { gateway, app } = stage
    await reloadBy(gateway, () => putConfig(gateway, configOf(app.origin, 'another-token-of-this-page-01234')))
    await there.page.getByRole('link', { name: 'Keys' }).click()
    await there.page.getByRole('alert').filter({ hasText: 'any more' }).waitFor()
    await there.enter('another-token-of-this-page-01234', 'Keys')
  })

  test('shows what runs and how it is, and the last hour as lines and as a table', async () => {
    await using stage = await openStage()
    await using there = await visit(browser, stage)
    const { page } = there
    await there.enter()
    await seen(page, 'Ready')
    const overview = await stage.ask('/api/overview')
    for (const text of [overview.version, overview.node, overview.config_hash, 'store:db', ...overview.listen])
      await seen(page, text)
    await stage.logIn({ userInfo: { id: 1 } })
    // The first point comes ten seconds after the start.
    const deadline = AbortSignal.timeout(30_000)
    while ((await stage.ask('/api/history')).at.length === 0) {
      deadline.throwIfAborted()
      await pause(100)
    }
    await page.reload()
    const requests = page.getByRole('figure', { name: 'Requests per second' })
    await requests.locator('canvas').waitFor()
    assert.deepEqual(await page.locator('figure canvas').count(), 4)
    await requests.getByText('As a table').click()
    const table = requests.getByRole('table')
    assert.deepEqual(await table.getByRole('columnheader').allTextContents(), ['Minute', 'all', 'with a session'])
    assert.match((await table.getByRole('row').nth(1).textContent()) ?? '', /^\d\d:\d\d/)
  })

  test('explains a request, as nobody and with a session, and a link has all of it', async () => {
    await using stage = await openStage()
    await stage.logIn({ userInfo: { id: 1, role: 'ops' } })
    const [{ id }] = (await stage.ask('/api/sessions')).sessions
    await using there = await visit(browser, stage)
    const { page } = there
    await there.enter()
    await page.getByRole('link', { name: 'Routes' }).click()
    await page.getByLabel('Path or URL').fill('/ops/?a=1')
    await page.getByRole('button', { name: 'Explain' }).click()
    await seen(page, 'Is sent to the login')
    await seen(page, '/login?next=%2Fops%2F%3Fa%3D1')
    assert.deepEqual(
      (await page.locator('.rules li').allTextContents()).map((text) => text.slice(0, 10).trim()),
      ['miss login', 'hit ops'],
    )
    await page.getByLabel('Session').fill(id)
    await page.getByRole('button', { name: 'Explain' }).click()
    await seen(page, 'Goes to the app')
    await seen(page, 'X-Session-Assertion')
    await page.reload()
    await seen(page, 'Goes to the app')
    await page.getByLabel('Path or URL').fill('/a//b')
    await page.getByRole('button', { name: 'Explain' }).click()
    await seen(page, 'ERR_TARGET_AMBIGUOUS')
    await page.getByLabel('Session').fill('0123456789012345678901')
    await page.getByRole('button', { name: 'Explain' }).click()
    await page.getByRole('alert').filter({ hasText: 'no session has the public id' }).waitFor()
  })

  test('finds sessions by user, by value and page by page, and ends exactly those that are named', async () => {
    await using stage = await openStage()
    const cookies = new Map<string, string>()
    for (const name of ['a', 'b', 'c']) cookies.set(name, await stage.logIn({ userInfo: { id: 7, role: 'ops' } }))
    cookies.set('other', await stage.logIn({ userInfo: { id: 8, role: 'clerk' } }))
    for (let i = 0; i < 52; i += 1) await stage.logIn({ userInfo: { id: 100 + i, role: 'guest' } })
    const statuses = () => Promise.all([...cookies.values()].map((cookie) => stage.statusWith(cookie)))
    assert.deepEqual(await statuses(), [200, 200, 200, 200])
    await using there = await visit(browser, stage)
    const { page } = there
    await there.enter()
    await page.getByRole('link', { name: 'Sessions' }).click()
    await page.getByLabel('User id').fill('7')
    await page.getByRole('button', { name: 'Find' }).click()
    await seen(page, '3 sessions shown')

    await page
      .getByRole('button', { name: /^Revoke [\w-]{22}$/ })
      .first()
      .click()
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
    await page
      .getByRole('button', { name: /^Revoke [\w-]{22}$/ })
      .first()
      .click()
    await page.getByRole('dialog', { name: 'Revoke this session?' }).getByRole('button', { name: 'Revoke' }).click()
    await seen(page, '1 session revoked.')
    await seen(page, '2 sessions shown')
    assert.deepEqual((await statuses()).toSorted(), [200, 200, 200, 401])

    await page.getByRole('button', { name: 'Revoke all of this user' }).click()
    await page.getByRole('dialog', { name: 'Revoke 2 sessions?' }).getByRole('button', { name: 'Revoke all' }).click()
    await seen(page, '2 sessions revoked.')
    assert.deepEqual(await statuses(), [401, 401, 401, 200])

    await page.getByLabel('Find by').selectOption('value')
    await page.getByLabel('Key').fill('userInfo.role')
    await page.getByLabel('Value').fill('guest')
    await page.getByRole('button', { name: 'Find' }).click()
    await seen(page, '50 sessions shown, there are more')
    await page.getByRole('button', { name: 'Show more' }).click()
    await seen(page, '52 sessions shown.')
    await page.getByRole('button', { name: 'Revoke all that match' }).click()
    await page.getByRole('dialog', { name: 'Revoke 52 sessions?' }).getByRole('button', { name: 'Revoke all' }).click()
    await seen(page, '52 sessions revoked.')
    assert.deepEqual((await stage.ask('/api/sessions')).sessions.length, 1)

    const [{ id }] = (await stage.ask('/api/sessions')).sessions
    await page.getByLabel('Find by').selectOption('id')
    await page.getByLabel('Public id').fill(id)
    await page.getByRole('button', { name: 'Find' }).click()
    await seen(page, '"clerk"')
    await page.getByRole('button', { name: 'Revoke …' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
    await seen(page, 'The session is revoked.')
    assert.deepEqual(await statuses(), [401, 401, 401, 401])
    await page.reload()
    await page.getByRole('alert').filter({ hasText: 'There is no such session.' }).waitFor()
  })

  test('shows requests as they end, can be held, and can be narrowed', async () => {
    await using stage = await openStage()
    await using there = await visit(browser, stage)
    const { page } = there
    await there.enter()
    await page.getByRole('link', { name: 'Live' }).click()
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor()
    const visitor = await createPageVisitor(stage.gateway.url)
    await visitor.open('/orders/7')
    await seen(page, '/orders/7')
    assert.match(
      (await page.getByRole('row').nth(1).textContent()) ?? '',
      /302.*GET.*\/orders\/7.*shop.*login redirect, no session/,
    )
    await page.getByRole('button', { name: 'Pause' }).click()
    await visitor.open('/ops/held')
    await page.getByRole('button', { name: 'Go on (1 new)' }).click()
    await seen(page, '/ops/held')
    await page.getByLabel('Route').selectOption('ops')
    await seen(page, '1 request of the last 2')
    await page.getByLabel('Path').fill('ORDERS')
    await seen(page, '0 requests of the last 2')
    await page.getByLabel('Route').selectOption('')
    await seen(page, '1 request of the last 2')
    await page.getByRole('link', { name: 'Why /orders/7' }).click()
    await seen(page, 'Is sent to the login')
  })

  test('drains a server and takes it back, counts and clears the store, tells the keys, and says when nobody answers', async () => {
    await using stage = await openStage()
    await stage.logIn({ userInfo: { id: 1 } })
    await using there = await visit(browser, stage)
    const { page } = there
    await there.enter()
    const isDrained = async () => (await stage.ask('/api/upstreams'))[0].servers[1].drained
    await page.getByRole('link', { name: 'Upstreams' }).click()
    await page.getByRole('button', { name: 'Drain 127.0.0.1:9' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click()
    await seen(page, '127.0.0.1:9 is drained.')
    assert.equal(await isDrained(), true)
    await page.getByRole('button', { name: 'Resume 127.0.0.1:9' }).click()
    await seen(page, '127.0.0.1:9 takes part again.')
    assert.equal(await isDrained(), false)
    await page.getByRole('link', { name: 'Store' }).click()
    await page.getByRole('button', { name: 'Count sessions' }).click()
    await seen(page, '1 session; 0 expired sessions not deleted yet.')
    await page.getByRole('button', { name: 'Clear expired' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Clear' }).click()
    await seen(page, '0 expired sessions deleted.')
    await page.getByRole('link', { name: 'Keys' }).click()
    await seen(page, 'HS256')
    await stage.gateway.stop()
    await page.getByRole('link', { name: 'Upstreams' }).click()
    await page.getByRole('alert').filter({ hasText: 'does not answer' }).waitFor()
  })

  test('shows where the file differs, what is wrong with it and in which line, and takes it', async () => {
    await using stage = await openStage()
    const { gateway, app } = stage
    await using there = await visit(browser, stage)
    const { page } = there
    await there.enter()
    await page.getByRole('link', { name: 'Configuration' }).click()
    await page.getByLabel('Filter').fill('admin.token')
    await seen(page, '[redacted]')
    assert.ok(!(await page.content()).includes(TOKEN))
    await reloadBy(gateway, () => putConfig(gateway, `${configOf(app.origin)}nonsense: 1\n`))
    await page.getByRole('button', { name: 'Look again' }).click()
    await seen(page, 'cannot be used')
    await seen(page, 'sessiongate.yaml:11')
    await page.getByRole('button', { name: 'Reload' }).click()
    await page.getByRole('alert').filter({ hasText: 'It was not taken' }).waitFor()
    await putConfig(gateway, `${configOf(app.origin)}mode: observe\n`)
    await page.getByRole('button', { name: 'Reload' }).click()
    await seen(page, 'The file is in force')
    assert.equal((await stage.ask('/api/overview')).mode, 'observe')
  })

  test('is of all workers together where there are several', async () => {
    await using stage = await openStage('workers: 2\n')
    const cookies = [await stage.logIn({ userInfo: { id: 7 } }), await stage.logIn({ userInfo: { id: 8 } })]
    const statuses = async () => {
      const all: number[][] = []
      for (const cookie of cookies)
        all.push(await Promise.all(Array.from({ length: 6 }, () => stage.statusWith(cookie))))
      return all.map((each) => [...new Set(each)])
    }
    await using there = await visit(browser, stage)
    const { page } = there
    await there.enter()
    await seen(page, '2/2')
    await page.getByRole('link', { name: 'Live' }).click()
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor()
    assert.deepEqual(await statuses(), [[200], [200]])
    await seen(page, '12 requests of the last 12')
    await page.getByRole('link', { name: 'Sessions' }).click()
    await page.getByLabel('User id').fill('7')
    await page.getByRole('button', { name: 'Find' }).click()
    await page.getByRole('button', { name: 'Revoke all of this user' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke all' }).click()
    await seen(page, '1 session revoked.')
    assert.deepEqual(await statuses(), [[401], [200]])
  })

  test('shows what strangers wrote as text', async () => {
    await using stage = await openStage()
    const hostile = '<img src=x onerror="document.title=\'hit\'">'
    await stage.logIn({ userInfo: { id: hostile }, "<script>document.title='hit'</script>": ['\u202e<b>', hostile] })
    const [{ id }] = (await stage.ask('/api/sessions')).sessions
    await using there = await visit(browser, stage)
    const { page } = there
    await there.enter()
    await there.open('live')
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor()
    await fetch(`${stage.gateway.url}/'-(document.title='hit')-'/%3Cimg%20src=x%20onerror=alert(1)%3E`)
    await seen(page, "/'-(document.title='hit')-'/%3Cimg%20src=x%20onerror=alert(1)%3E")
    await there.open('sessions?by=all')
    await seen(page, hostile)
    await there.open(`sessions/${id}`)
    await seen(page, "<script>document.title='hit'</script>")
    await seen(page, /\\u\{202e\}<b>/)
    await page.getByRole('button', { name: 'Revoke …' }).click()
    await page.getByRole('dialog').getByText(hostile).waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
    await there.open(`sessions?user=${encodeURIComponent(hostile)}`)
    await seen(page, '1 session shown')
    await there.open(`routes?url=${encodeURIComponent(hostile)}`)
    await seen(page, 'Is refused')
    assert.deepEqual(
      await page.evaluate("[document.title, document.querySelectorAll('#page img, #page script').length]"),
      ['Routes · sessiongate', 0],
    )
  })

  test('can be used by keyboard alone, from the token to the end of a session', async () => {
    await using stage = await openStage()
    const cookie = await stage.logIn({ userInfo: { id: 7 } })
    await using there = await visit(browser, stage)
    const { page } = there
    const { keyboard } = page
    await tabTo(page, 'Token')
    await keyboard.type(TOKEN)
    await keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
    await tabTo(page, 'Skip to the content')
    await keyboard.press('Enter')
    const focused = () => page.evaluate<string>('document.activeElement.textContent')
    assert.equal(await focused(), 'Overview')
    await page.reload()
    await tabTo(page, 'Sessions')
    await keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'Sessions' }).waitFor()
    assert.equal(await focused(), 'Sessions')
    await tabTo(page, 'User id')
    await keyboard.type('7')
    await keyboard.press('Enter')
    await seen(page, '1 session shown')
    await tabTo(page, /^Revoke [\w-]{22}$/)
    await keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    const walked: string[] = [await focused()]
    for (const key of ['Tab', 'Tab', 'Shift+Tab', 'Shift+Tab']) {
      await keyboard.press(key)
      walked.push(await focused())
    }
    assert.deepEqual(walked, ['Cancel', 'Revoke', 'Cancel', 'Revoke', 'Cancel'])
    await keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    assert.equal(await page.evaluate("document.activeElement.getAttribute('aria-label')?.slice(0, 7)"), 'Revoke ')
    assert.equal(await stage.statusWith(cookie), 200)
    await keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await keyboard.press('Tab')
    await keyboard.press('Enter')
    await seen(page, '1 session revoked.')
    assert.match(await focused(), /^Sessions of user 7/)
    assert.equal(await stage.statusWith(cookie), 401)
  })
})
