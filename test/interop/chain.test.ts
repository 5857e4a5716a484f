import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { type ChainBrowser, forged, openChainBrowser, SHOP_HOST, type Visited } from './chain-browser.ts'
import { type ChainStage, chainSkip, openChainStage } from './chain-stage.ts'

/** More than any buffer on the way holds, and no round number. */
const RECEIPT_BYTES = 4 * 1024 * 1024 + 123

/** The pages of one app. */
interface Shop {
  /** The upstream's name. */
  readonly name: string
  readonly login: string
  readonly home: string
  readonly add: string
  readonly upload: string
  readonly receipt: string
  readonly stream: string
  readonly gzip: string
  readonly eye: string
  readonly logout: string
}

const php: Shop = {
  name: 'php',
  login: '/login.php',
  home: '/',
  add: '/cart.php',
  upload: '/upload.php',
  receipt: '/receipt.php',
  stream: '/eye.php?what=stream',
  gzip: '/eye.php?what=gzip',
  eye: '/eye.php',
  logout: '/logout.php',
}

const djangoShop = (name: string): Shop => ({
  name,
  login: `/${name}/login`,
  home: `/${name}/`,
  add: `/${name}/add`,
  upload: `/${name}/upload`,
  receipt: `/${name}/receipt`,
  stream: `/${name}/stream`,
  gzip: `/${name}/gzip`,
  eye: `/${name}/seen`,
  logout: `/${name}/logout`,
})

const shops: [why: string, shop: Shop][] = [
  ['PHP, by headers', php],
  ['Django, with its own sessions in the same database', djangoShop('django')],
  ['Django, by headers', djangoShop('headers')],
]

const doorNames = [
  'nginx ends TLS, X-Forwarded-*',
  'nginx, X-Forwarded-*',
  'HAProxy, PROXY protocol',
  'HAProxy ends TLS, PROXY protocol',
  'HAProxy ends TLS, X-Forwarded-*',
]

/** What an app says of a request. */
interface Seen {
  readonly headers: Readonly<Record<string, string>>
  readonly claims: { readonly aud: string; readonly auth: boolean; readonly ses: Readonly<Record<string, unknown>> }
  readonly plain: Readonly<Record<string, string>>
  /** Its own address, as it would write it into a link. */
  readonly url: string
}

describe('a proxy in front, the gateway, and apps of other languages behind it', { skip: chainSkip }, () => {
  let stage: ChainStage
  before(async () => {
    stage = await openChainStage()
  })
  after(() => stage?.[Symbol.asyncDispose]())

  test('every door is walked through', () => assert.deepEqual(Object.keys(stage.doors), doorNames))

  for (const [i, door] of doorNames.entries()) {
    for (const [j, [why, shop]] of shops.entries()) {
      test(`${door} → ${why}: login, cart, upload, download, logout`, async () => {
        const name = `Zoë ${i}${j}`
        using browser = await open(door, `127.0.${i + 1}.${j + 1}`)
        await turnedAwayAsStranger(browser, shop)
        const key = await loggedIn(browser, shop, name)
        await knownToAll(browser, name)
        await cartKept(browser, shop)
        await filesCarried(browser, shop)
        await loggedOut(browser, shop, key)
      })
    }
  }

  function open(door: string, address: string, cookies: readonly string[] = []): Promise<ChainBrowser> {
    const found = stage.doors[door]
    assert.ok(found, door)
    return openChainBrowser(found, address, cookies)
  }

  function isStored(key: string): boolean {
    using database = new DatabaseSync(stage.database, { readOnly: true })
    return database.prepare('SELECT 1 FROM django_session WHERE session_key = ?').get(key) !== undefined
  }

  async function turnedAwayAsStranger(browser: ChainBrowser, shop: Shop): Promise<void> {
    for (const path of [`${shop.home}?page=2`, shop.receipt]) {
      const page = await browser.visit(path)
      assert.equal(page.status, 302, path)
      assert.equal(leadsTo(page, browser), `${browser.origin}${shop.login}?next=${encodeURIComponent(path)}`)
    }
    const { claims, plain } = await look(browser, shop)
    assert.deepEqual([claims.auth, claims.ses, plain], [false, {}, {}])
  }

  /** The key of the new session. */
  async function loggedIn(browser: ChainBrowser, shop: Shop, name: string): Promise<string> {
    assert.equal((await browser.visit(shop.login)).status, 200)
    const page = await post(browser, `${shop.login}?next=${encodeURIComponent(shop.home)}`, { name, password: 'any' })
    assert.ok([302, 303].includes(page.status), `${page.status} ${page.body}`)
    assert.equal(
      page.headers.location,
      `${browser.origin}${shop.home}`,
      'the browser’s scheme and host, as the app knows them',
    )
    const [line = '', ...more] = page.setCookies.filter((cookie) => cookie.startsWith('sessionid='))
    assert.deepEqual(more, [])
    assert.match(line, /; HttpOnly/)
    // Behind https the cookie is Secure where the gateway writes it; Django does as its own settings say.
    if (shop.name !== 'django') assert.equal(/; Secure/.test(line), browser.origin.startsWith('https:'), line)
    const key = (await browser.cookie('sessionid')) ?? ''
    assert.ok(isStored(key))
    return key
  }

  /** Whichever app somebody logged in at, all are told, and nothing that the visitor made up has arrived. */
  async function knownToAll(browser: ChainBrowser, name: string): Promise<void> {
    for (const [, shop] of shops) {
      const { claims, plain } = await look(browser, shop)
      assert.deepEqual([claims.aud, claims.auth], [shop.name, true])
      assert.equal((claims.ses.userInfo as { name: string }).name, name)
      assert.deepEqual(plain, { 'x-user-name': name.replace('ë', '%C3%AB') })
    }
  }

  async function look(browser: ChainBrowser, shop: Shop): Promise<Seen> {
    const page = await browser.visit(shop.eye)
    assert.equal(page.status, 200, String(page.body))
    const seen = JSON.parse(String(page.body)) as Seen
    const { headers } = seen
    assert.doesNotMatch(JSON.stringify(headers), forged)
    assert.equal(headers.HTTP_PROXY, undefined)
    const [client, ...hops] = headers.HTTP_X_FORWARDED_FOR?.split(', ') ?? []
    assert.equal(client, browser.address)
    assert.deepEqual(new Set([...hops, '127.0.0.1']), new Set(['127.0.0.1']), 'then only our own proxies')
    assert.deepEqual(
      [headers.HTTP_X_FORWARDED_PROTO, headers.HTTP_X_FORWARDED_HOST, headers.HTTP_HOST],
      [browser.origin.split(':')[0], SHOP_HOST, SHOP_HOST],
    )
    assert.equal(seen.url, `${browser.origin}/`)
    return seen
  }

  async function cartKept(browser: ChainBrowser, shop: Shop): Promise<void> {
    for (const item of ['tea', 'cup', 'tea']) {
      const page = await post(browser, shop.add, { item })
      assert.equal(leadsTo(page, browser), `${browser.origin}${shop.home}`)
    }
    // It is one session: what one app keeps there, the others find.
    for (const [, { home }] of shops) {
      const { body } = await browser.visit(home)
      const cart = [...String(body).matchAll(/<li data-item="\w+">([^<]*)</g)].map(([, text]) => text)
      assert.deepEqual(cart, ['tea: 2', 'cup: 1'], home)
    }
  }

  async function filesCarried(browser: ChainBrowser, shop: Shop): Promise<void> {
    for (const framing of ['length', 'chunks']) {
      const file = randomBytes(RECEIPT_BYTES)
      const page = await upload(browser, shop, file, framing === 'chunks')
      assert.equal(leadsTo(page, browser), `${browser.origin}${shop.home}`, `${page.status} ${page.body}`)
      const whole = await browser.visit(shop.receipt)
      assert.equal(whole.headers['content-length'], String(file.length))
      assert.ok(whole.body.equals(file), `the bytes that were sent, with ${framing}`)
      assert.match(whole.headers['cache-control'] ?? '', /private/)
      await rangesOf(browser, shop, file)
      const streamed = await browser.visit(shop.stream)
      assert.equal(streamed.headers['content-length'], undefined)
      assert.ok(streamed.body.equals(file))
    }
    const packed = await browser.visit(shop.gzip, { headers: { 'Accept-Encoding': 'gzip' } })
    assert.equal(packed.headers['content-encoding'], 'gzip')
    assert.equal(createHash('sha256').update(packed.body).digest('hex'), packed.headers['x-digest'], 'not packed anew')
    assert.equal(gunzipSync(packed.body).length, 1_650_000)
  }

  async function rangesOf(browser: ChainBrowser, shop: Shop, file: Buffer): Promise<void> {
    const from = 1_000_001
    const part = await browser.visit(shop.receipt, { headers: { Range: `bytes=${from}-${from + 999_999}` } })
    assert.equal(part.status, 206)
    assert.equal(part.headers['content-range'], `bytes ${from}-${from + 999_999}/${file.length}`)
    assert.ok(part.body.equals(file.subarray(from, from + 1_000_000)))
    const end = await browser.visit(shop.receipt, { headers: { Range: 'bytes=-10' } })
    assert.ok(end.status === 206 && end.body.equals(file.subarray(-10)))
    const beyond = await browser.visit(shop.receipt, { headers: { Range: `bytes=${file.length}-` } })
    assert.equal(beyond.status, 416)
    const head = await browser.visit(shop.receipt, { method: 'HEAD' })
    assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, String(file.length), 0])
    const etag = head.headers.etag ?? ''
    assert.equal((await browser.visit(shop.receipt, { headers: { 'If-None-Match': etag } })).status, 304)
  }

  /** Gone, and dead at every door and for every app. */
  async function loggedOut(browser: ChainBrowser, shop: Shop, key: string): Promise<void> {
    const page = await post(browser, shop.logout, {})
    assert.equal(leadsTo(page, browser), `${browser.origin}${shop.login}`)
    assert.match(page.setCookies.join('\n'), /^sessionid="";.*Max-Age=0/m)
    assert.equal(await browser.cookie('sessionid'), undefined)
    assert.equal(isStored(key), false)
    for (const door of doorNames) {
      using thief = await open(door, '127.0.99.1', [`sessionid=${key}`])
      for (const [, { home, eye, login }] of shops) {
        const answer = await thief.visit(home, { headers: { Cookie: `sessionid=${key}` } })
        assert.equal(new URL(leadsTo(answer, thief)).pathname, login)
        const seen = await thief.visit(eye, { headers: { Cookie: `sessionid=${key}` } })
        assert.deepEqual((JSON.parse(String(seen.body)) as Seen).claims.ses, {})
      }
    }
  }
})

/** Where a redirect leads, whole; it must lead somewhere. */
function leadsTo({ status, headers }: Visited, { origin }: ChainBrowser): string {
  assert.ok([302, 303].includes(status), `${status}`)
  return new URL(headers.location ?? '', origin).href
}

async function post(browser: ChainBrowser, path: string, fields: Readonly<Record<string, string>>): Promise<Visited> {
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded', ...(await csrfHeader(browser)) }
  return await browser.visit(path, { method: 'POST', headers, body: Buffer.from(String(new URLSearchParams(fields))) })
}

/** Django's forms want it; to the others it means nothing. */
async function csrfHeader(browser: ChainBrowser): Promise<Record<string, string>> {
  const token = await browser.cookie('csrftoken')
  return token === undefined ? {} : { 'X-CSRFToken': token }
}

/** A form with a file, as browsers send it. */
async function upload(
  browser: ChainBrowser,
  { upload: path }: Shop,
  file: Buffer,
  isChunked: boolean,
): Promise<Visited> {
  const boundary = `----${randomBytes(12).toString('hex')}`
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="receipt"; filename="r.bin"\r\nContent-Type: application/octet-stream\r\n\r\n`
  const body = Buffer.concat([Buffer.from(head), file, Buffer.from(`\r\n--${boundary}--\r\n`)])
  const pieces: Buffer[] = []
  for (let at = 0; at < body.length; at += 70_001) pieces.push(body.subarray(at, at + 70_001))
  const headers = { 'Content-Type': `multipart/form-data; boundary=${boundary}`, ...(await csrfHeader(browser)) }
  return await browser.visit(path, { method: 'POST', headers, body: isChunked ? pieces : body })
}
