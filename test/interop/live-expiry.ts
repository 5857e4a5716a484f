import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DjangoProject } from './django-project.ts'
import type { Live } from './live-stage.ts'
import type { SharedPlace } from './stores.ts'

const DEFAULT_AGE_SECONDS = 1_209_600

/** What passes between a date's setting and the answers that count towards it, at most, in milliseconds. */
const TOLERANCE_MS = 5000

/** A date as whole seconds, as both sides take it. */
const twoHoursAhead = Math.floor(Date.now() / 1000) * 1000 + 7_200_000

/** What one side is told of an expiry, and what it then means on both. */
interface Expiry {
  readonly why: string
  /** The query for the Django site. */
  readonly query: string
  /** `X-Session-Expiry`. */
  readonly header: string
  /** When the session ends on the server, for somebody who saved it at that time, in milliseconds. */
  readonly endAfter: (savedAt: number) => number
  /** Without an age of its own the cookie ends with the browser. */
  readonly isUntilBrowserCloses?: boolean
  readonly isDate?: boolean
}

const expiries: readonly Expiry[] = [
  {
    why: 'until the browser closes',
    query: 'seconds=0',
    header: '0',
    endAfter: (savedAt) => savedAt + DEFAULT_AGE_SECONDS * 1000,
    isUntilBrowserCloses: true,
  },
  { why: 'seconds', query: 'seconds=300', header: '300', endAfter: (savedAt) => savedAt + 300_000 },
  {
    why: 'a date',
    query: `date=${twoHoursAhead}`,
    header: new Date(twoHoursAhead).toISOString().replace('.000Z', 'Z'),
    endAfter: () => twoHoursAhead,
    isDate: true,
  },
]

/** Whoever sets an expiry: the other side's next change has the same cookie and the same end in the store. */
export function describeLiveExpiry(live: () => Live, place: SharedPlace): void {
  for (const expiry of expiries) {
    // Django 3.2 cannot store a date in JSON.
    if (!(expiry.isDate === true && place.release === 'django32')) {
      test(`set_expiry in Django holds at the gateway too: ${expiry.why}`, async () => {
        const { stage, visitor } = live()
        await visitor.page('/login?user=alice')
        const byDjango = await visitor.browser.fetch(`/expire?${expiry.query}`)
        compareCookie(expiry, byDjango.setCookies)
        await compareEnd(expiry, stage.project, await visitor.key())
        compareCookie(expiry, (await visitor.say('X-Session-Set: {"cart":1}')).setCookies)
        await compareEnd(expiry, stage.project, await visitor.key())
      })
    }

    test(`X-Session-Expiry at the gateway holds in Django too: ${expiry.why}`, async () => {
      const { stage, visitor } = live()
      await visitor.page('/login?user=alice')
      compareCookie(expiry, (await visitor.say(`X-Session-Expiry: ${expiry.header}`)).setCookies)
      await compareEnd(expiry, stage.project, await visitor.key())
      compareCookie(expiry, (await visitor.browser.fetch('/put?cart=1')).setCookies)
      await compareEnd(expiry, stage.project, await visitor.key())
    })
  }

  test('each side takes back what the other one set', async () => {
    const { stage, visitor } = live()
    const usual: Expiry = {
      why: 'the default',
      query: '',
      header: 'default',
      endAfter: (savedAt) => savedAt + DEFAULT_AGE_SECONDS * 1000,
    }
    await visitor.page('/expire?seconds=300')
    compareCookie(usual, (await visitor.say('X-Session-Expiry: default', 'X-Session-Set: {"cart":1}')).setCookies)
    await compareEnd(usual, stage.project, await visitor.key())
    await visitor.say('X-Session-Expiry: 300')
    compareCookie(usual, (await visitor.browser.fetch('/expire')).setCookies)
    await compareEnd(usual, stage.project, await visitor.key())
  })
}

function compareCookie(expiry: Expiry, setCookies: readonly string[]): void {
  const [line = '', ...others] = setCookies
  assert.deepEqual(others, [])
  assert.match(line, /^sessionid=[^";]+;/)
  const maxAge = /; Max-Age=(\d+);/.exec(line)?.[1]
  const expires = /; expires=([^;]+);/.exec(line)?.[1]
  if (expiry.isUntilBrowserCloses === true) {
    assert.deepEqual([maxAge, expires], [undefined, undefined], line)
    return
  }
  const now = Date.now()
  assertNear('Max-Age', now + Number(maxAge) * 1000, expiry.endAfter(now))
  assertNear('expires', Date.parse(expires ?? ''), expiry.endAfter(now))
}

/** Files tell no end that both sides would go by, and cookies none at all. */
async function compareEnd(expiry: Expiry, project: DjangoProject, key: string): Promise<void> {
  const [read] = await project.read([key])
  assert.equal(read?.found, true)
  const date = read.stored?.expireDate
  if (typeof date === 'string') assertNear('expire_date', Date.parse(`${date}Z`), expiry.endAfter(Date.now()))
  if (read.cached !== null) assertNear('the time to live', read.cached.endsAt, expiry.endAfter(Date.now()))
}

function assertNear(what: string, actualMs: number, expectedMs: number): void {
  assert.ok(Math.abs(actualMs - expectedMs) <= TOLERANCE_MS, `${what} is ${actualMs - expectedMs} ms off`)
}
