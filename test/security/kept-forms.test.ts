import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { bodyOf, createFormBrowser, type FormBrowser, type Sending } from '../support/form-browser.ts'
import { formApp, formConfig } from '../support/form-stage.ts'
import { connectRaw } from '../support/raw-client.ts'
import { openRows, openStage, rowsOf, type Stage } from './stage.ts'

const kept = '/.sessiongate/kept-post'
const toKept = '/login?next=%2F.sessiongate%2Fkept-post%3Fback%3D%252Fedit%253Fid%253D7'
const form = 'text=hello&csrf=t0ken'

describe('forms that are kept until after the login', () => {
  let stage: Stage
  before(async () => {
    stage = await openStage(formConfig, { handler: formApp })
  })
  after(() => stage[Symbol.asyncDispose]())

  const browse = (host = 'app.test'): FormBrowser =>
    createFormBrowser(`http://${host}:${stage.gateway.port}`, { port: stage.gateway.port })
  const logIn = (browser: FormBrowser) => browser.post('/login', '')
  const saved = (): number =>
    stage.app.requests.filter(({ method, url }) => method === 'POST' && url !== '/login').length

  /** A browser whose form has been kept, and which is logged in by now. */
  async function withKeptForm(path = '/save?id=7', body = form): Promise<FormBrowser> {
    const browser = browse()
    assert.equal((await browser.post(path, body)).location, toKept)
    await logIn(browser)
    return browser
  }

  test('nothing of it reaches the app or the store before somebody has said so', async () => {
    const [posts, rows] = [saved(), rowsOf(stage.gateway.folder).length]
    const browser = browse()
    for (let turn = 0; turn < 5; turn += 1) await browser.post('/save', form)
    await browser.open(kept)
    await browser.open(`${kept}?back=%2F`)
    assert.equal(saved(), posts)
    assert.equal(rowsOf(stage.gateway.folder).length, rows, 'a form makes no session')
    assert.equal(await browser.cookiesFor('/save').then((line) => /sessionid/.test(line)), false)
  })

  const foreign: [what: string, headers: NonNullable<Sending['headers']>][] = [
    ['another site', { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.test' }],
    ['another site that hides its origin', { 'Sec-Fetch-Site': 'cross-site', Origin: 'null' }],
    ['a sibling host', { 'Sec-Fetch-Site': 'same-site', Origin: 'http://other.app.test' }],
    ['nobody', { 'Sec-Fetch-Site': 'none', Origin: undefined }],
    ['another origin, in an older browser', { 'Sec-Fetch-Site': undefined, Origin: 'http://evil.test' }],
    ['another port, in an older browser', { 'Sec-Fetch-Site': undefined, Origin: 'http://app.test:1' }],
    ['a sandbox, in an older browser', { 'Sec-Fetch-Site': undefined, Origin: 'null' }],
    ['a browser that says nothing', { 'Sec-Fetch-Site': undefined, Origin: undefined }],
  ]
  for (const [what, headers] of foreign) {
    test(`the form of ${what} is not kept`, async () => {
      const browser = browse()
      const page = await browser.post('/save', form, { headers: { Referer: undefined, ...headers } })
      assert.deepEqual([page.status, page.location, page.setCookies], [303, '/login?next=%2F', []])
    })

    test(`nor does ${what} get a kept one sent`, async () => {
      const browser = await withKeptForm()
      const posts = saved()
      const page = await browser.post(kept, 'text=forged', { headers })
      assert.deepEqual([page.status, page.location, page.setCookies], [403, undefined, []])
      assert.equal(saved(), posts)
      assert.equal((await browser.open(kept)).status, 200, 'it is still there')
    })
  }

  const others: [what: string, path: string, body: string, headers?: Sending['headers']][] = [
    ['a route that does not say so', '/open', form],
    ['a script', '/save', form, { 'Sec-Fetch-Mode': 'cors', Accept: '*/*' }],
    ['files', '/save', '--x\r\n', { 'Content-Type': 'multipart/form-data; boundary=x' }],
    ['JSON', '/save', '{}', { 'Content-Type': 'application/json' }],
    ['plain text', '/save', form, { 'Content-Type': 'text/plain' }],
    ['a compressed body', '/save', form, { 'Content-Encoding': 'gzip' }],
    ['bytes that no page can send again', '/save', 'a=%00%FF'],
    ['what does not fit into the cookies of the route', '/save', `a=${randomBytes(4_000).toString('hex')}`],
    ['what does not fit into any cookies', '/big', `a=${randomBytes(20_000).toString('hex')}`],
    ['more than is ever read', '/big', `a=${'x'.repeat(70_000)}`],
    [
      'more than the route takes',
      '/small',
      `a=${'x'.repeat(90)}`,
      { 'Content-Length': undefined, 'Transfer-Encoding': 'chunked' },
    ],
    [
      'a chunked body over the limit',
      '/small',
      `a=${'x'.repeat(100)}`,
      { 'Content-Length': undefined, 'Transfer-Encoding': 'chunked' },
    ],
    ['an address that is too long for a way back', `/save?${'a'.repeat(2_100)}`, form],
  ]
  for (const [what, path, body, headers = {}] of others) {
    const fits = what === 'more than the route takes'
    test(`${what}: ${fits ? 'up to its limit it is kept' : 'as without keep_post'}`, async () => {
      const page = await browse().post(path, body, { headers })
      const isScript = what === 'a script'
      assert.equal(page.status, isScript ? 401 : 303)
      assert.equal(page.setCookies.length > 0, fits)
      if (!isScript && !fits) assert.equal(page.location, '/login?next=%2Fedit%3Fid%3D7')
    })
  }

  test('it is sent once, to where it was for, as the browser’s own request', async () => {
    const browser = await withKeptForm()
    const posts = saved()
    const page = await browser.open(kept)
    assert.equal(page.status, 200)
    assert.equal(saved(), posts, 'a GET sends nothing')
    assert.equal(bodyOf(page.html), form)
    assert.match(
      page.values('content-security-policy')[0] ?? '',
      /^default-src 'none'; .*form-action 'self'; frame-ancestors 'none'$/,
    )
    assert.deepEqual(page.values('cache-control'), ['no-store'])
    assert.doesNotMatch(page.html, /<script|javascript:/i)

    const cookies = await browser.cookiesFor(kept)
    const sent = await browser.post(kept, form)
    assert.deepEqual([sent.status, sent.location], [307, '/save?id=7'])
    assert.equal((await browser.cookiesFor(kept)).replace(/sessionid=\w+/, ''), '', 'the browser forgets it')
    for (const cookie of [undefined, cookies]) {
      const again = await browser.post(kept, form, cookie === undefined ? {} : { cookie })
      assert.deepEqual([again.status, again.location], [303, '/'], 'once, also with the cookies put back')
      const open = await browser.open(`${kept}?back=%2Fedit`, cookie === undefined ? {} : { cookie })
      assert.deepEqual([open.status, open.location], [303, '/edit'])
    }
    assert.equal(saved(), posts, 'the gateway itself sends nothing')
    await browser.post('/save?id=7', form)
    assert.equal(stage.app.requests.at(-1)?.body.toString(), form)
    assert.equal(stage.app.requests.at(-1)?.claims().auth, true)
  })

  test('two at the same moment are one', async () => {
    const browser = await withKeptForm()
    const cookie = await browser.cookiesFor(kept)
    const both = await Promise.all([browser.post(kept, form, { cookie }), browser.post(kept, form, { cookie })])
    assert.deepEqual(both.map(({ status }) => status).toSorted(), [303, 307])
  })

  test('nobody sees it who is not logged in, and the way to the login is the usual one', async () => {
    const browser = browse()
    await browser.post('/save', form)
    const page = await browser.open(`${kept}?back=%2Fedit%3Fid%3D7`)
    assert.deepEqual([page.status, page.location], [302, toKept])
    assert.doesNotMatch(page.html, /hello/)
    const referer = `http://app.test:${stage.gateway.port}/login?next=x&sessiongate_attempt=3`
    const loop = await browser.open(kept, { headers: { Referer: referer, 'Sec-Fetch-Site': 'same-origin' } })
    assert.deepEqual([loop.status, /ERR_LOGIN_LOOP/.test(loop.html)], [401, true])
    await logIn(browser)
    assert.equal((await browser.open(kept)).status, 200, 'it was kept through all of this')
  })

  test('another browser has no use for the half that it may get hold of', async () => {
    const [one, other] = [await withKeptForm(), await withKeptForm('/save?id=7', 'text=mine')]
    const id = (line: string): string => /sessiongate_post=[\w-]+/.exec(line)?.[0] ?? ''
    const piece = (line: string): string => /sessiongate_post_1=[\w.-]+/.exec(line)?.[0] ?? ''
    const session = (line: string): string => /sessionid=\w+/.exec(line)?.[0] ?? ''
    const [mine, theirs] = [await one.cookiesFor(kept), await other.cookiesFor(kept)]
    const mixtures: [what: string, cookie: string][] = [
      ['the form of another, planted', [session(mine), id(mine), piece(theirs)].join('; ')],
      ['the id of another, planted', [session(mine), id(theirs), piece(mine)].join('; ')],
      ['no id', [session(mine), piece(theirs)].join('; ')],
      ['one beside it', [session(mine), id(mine), id(theirs), piece(mine)].join('; ')],
      ['both beside it', `${mine}; ${id(theirs)}; ${piece(theirs)}`],
    ]
    for (const [what, cookie] of mixtures) {
      const page = await one.open(`${kept}?back=%2Fedit`, { cookie })
      assert.deepEqual([page.status, page.location], [303, '/edit'], what)
      assert.equal((await one.post(kept, form, { cookie })).status, 303, what)
    }
    assert.equal((await one.open(kept, { cookie: mine })).status, 200)
  })

  test('another host of the same gateway does not take it', async () => {
    const browser = await withKeptForm()
    const cookie = await browser.cookiesFor(kept)
    const page = await browser.open(kept, { cookie, headers: { Host: `localhost:${stage.gateway.port}` } })
    assert.equal(page.status, 303)
    const port = await browser.open(kept, { cookie, headers: { Host: 'app.test:1' } })
    assert.equal(port.status, 303)
  })

  test('every changed character makes nothing of it', async () => {
    const browser = await withKeptForm()
    const cookie = await browser.cookiesFor(kept)
    const [, text = ''] = /sessiongate_post_1=1\.([\w-]+)/.exec(cookie) ?? []
    for (let at = 0; at < text.length; at += 17) {
      const other = text[at] === 'A' ? 'B' : 'A'
      const changed = cookie.replace(text, text.slice(0, at) + other + text.slice(at + 1))
      assert.equal((await browser.open(kept, { cookie: changed })).status, 303, `character ${at}`)
    }
    for (const value of ['', '1.', '4.x', '99999999.x', '-1.x', '1.%00', `1.${'A'.repeat(8_000)}`]) {
      const changed = cookie.replace(`1.${text}`, value)
      assert.equal((await browser.open(kept, { cookie: changed })).status, 303, value.slice(0, 20))
    }
  })

  test('after its time it is gone', async () => {
    const browser = await withKeptForm('/short')
    const cookie = await browser.cookiesFor(kept)
    const deadlineMs = performance.now() + 10_000
    while ((await browser.open(kept, { cookie })).status !== 303) assert.ok(performance.now() < deadlineMs)
    assert.equal((await browser.post(kept, form, { cookie })).status, 303)
  })

  test('neither body nor way back write headers or HTML', async () => {
    const evil = [
      '\r\nSet-Cookie: a=b',
      '"><script>alert(1)</script>',
      "'onfocus=alert(1) x='",
      '</form><form action=//evil>',
    ]
    const body = new URLSearchParams(
      evil.flatMap((text) => [
        [text, text],
        ['text', text],
      ]),
    ).toString()
    const browser = await withKeptForm('/save?id=7&html=%3Cb%3E', body)
    const page = await browser.open(`${kept}?back=${encodeURIComponent('/"><script>')}`)
    assert.equal(page.status, 200)
    assert.equal(bodyOf(page.html), body)
    assert.doesNotMatch(page.html, /<script|<form action/)
    assert.deepEqual(page.setCookies, [])
    const backs = [
      '//evil.test',
      '/\\evil.test',
      'https://evil.test',
      '/%2F/evil.test',
      '/\t/evil',
      'javascript:x',
      '/a\r\nX: y',
      kept,
      `${kept}?back=/x`,
      '',
    ]
    for (const back of backs) {
      const { location } = await browse().open(`${kept}?back=${encodeURIComponent(back)}`)
      assert.equal(location, '/', back)
      assert.match(
        (await browser.open(`${kept}?back=${encodeURIComponent(back)}`)).html,
        /<a href="&#47;">|<a href="\/">/,
        back,
      )
    }
  })

  test('a path of another reading is no target, and none of a Location', async () => {
    for (const path of ['//evil.test/x', '/a/../save', '/a%2Fb', '/\\evil']) {
      const page = await browse().post(path, form)
      assert.deepEqual([page.status, page.setCookies], [400, []], path)
    }
  })

  test('a browser that is slow or leaves in mid-form costs a connection, and nothing else', async () => {
    const head = `POST /save HTTP/1.1\r\nHost: app.test\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 30\r\n\r\n`
    {
      await using client = await connectRaw(stage.gateway.port)
      await client.send(`${head}text=`)
      client.reset()
    }
    await using client = await connectRaw(stage.gateway.port)
    await client.send(head.replace('30', '6').replace('\r\n\r\n', '\r\nExpect: 100-continue\r\n\r\n'))
    assert.equal((await client.response()).status, 100, 'a form is asked for')
    await client.send('text=a')
    const answer = await client.response()
    assert.deepEqual([answer.status, answer.values('Set-Cookie').length], [303, 2])
    await client.send(head.replace('30', '2').concat('a='))
    assert.equal((await client.response()).status, 303, 'the connection goes on')
  })

  test('the head of the answer fits where proxies have 4 KiB for it', async () => {
    const body = `text=${randomBytes(2_000).toString('hex').slice(0, 4_020)}`
    const page = await browse().post('/save?id=7', body)
    const length = page.setCookies.join('').length
    assert.ok(length > 2_900 && page.headBytes < 4_096, `${length}, ${page.headBytes}`)
  })

  test('while the store is down it stays where it is', async () => {
    const browser = await withKeptForm()
    const database = openRows(stage.gateway.folder)
    database.exec('ALTER TABLE django_session RENAME TO elsewhere')
    const down = await browser.open(kept)
    database.exec('ALTER TABLE elsewhere RENAME TO django_session')
    database.close()
    assert.deepEqual([down.status, down.location, down.setCookies], [503, undefined, []])
    const deadlineMs = performance.now() + 10_000
    while ((await browser.open(kept)).status !== 200) assert.ok(performance.now() < deadlineMs)
  })

  test('nothing of it stands in the log', async () => {
    const browser = await withKeptForm('/save?id=7', 'text=c4n4ry')
    const cookie = await browser.cookiesFor(kept)
    await browser.open(kept)
    await browser.post(kept, 'text=c4n4ry')
    await browser.open('/last')
    await stage.gateway.logged('the last request', (line) => line['url.path'] === '/last')
    const log = JSON.stringify(stage.gateway.log) + stage.gateway.stderr()
    for (const secret of ['c4n4ry', 't0ken', ...cookie.split('; ').map((pair) => pair.slice(pair.indexOf('=') + 1))]) {
      assert.ok(secret.length >= 5 && !log.includes(secret), secret)
    }
  })

  test('no spelling of its own address leads from there to there', async () => {
    const spellings = ['/%2Esessiongate/kept-post', '/%2esessiongate/kept%2Dpost', '/.sessiongate/%6bept-post']
    for (const path of [kept, ...spellings]) {
      assert.equal((await browse().open(path)).location, '/', path)
      assert.equal((await browse().open(`${path}?back=%2Fedit`)).location, '/edit', path)
      const inner = encodeURIComponent(`${path}?back=${encodeURIComponent(path)}`)
      for (const outer of [kept, ...spellings])
        assert.equal((await browse().open(`${outer}?back=${inner}`)).location, '/', `${outer}?back=${inner}`)
    }
  })

  test('other methods are told which ones there are, and without keep_post the address is the app’s', async () => {
    await using client = await connectRaw(stage.gateway.port)
    await client.send(`PUT ${kept} HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n`)
    const answer = await client.response()
    assert.deepEqual([answer.status, answer.values('Allow')], [405, ['GET, HEAD, POST']])
  })
})
