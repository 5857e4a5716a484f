import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { startApp, type TestApp } from '../support/app.ts'
import { runCommand } from '../support/command.ts'
import { within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { createPageVisitor, type Page, type PageVisitor } from '../support/page-visitor.ts'
import { requireServer } from '../support/requirement.ts'

const example = resolve(import.meta.dirname, '../../examples/django-app')
const django = requireServer('django')
const secretKey = 'a secret key that gateway and project share'

describe('the Django example behind its gateway', { skip: django.skip }, () => {
  const stack = new AsyncDisposableStack()
  let folder: string
  let djangoUrl: string
  let neighbour: TestApp
  let gateway: TestGateway

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessiongate-django-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const env = { SECRET_KEY: secretKey, DATABASE: join(folder, 'db.sqlite3'), PYTHONDONTWRITEBYTECODE: '1' }
    djangoUrl = await startDjango(env, stack)
    neighbour = stack.use(await startApp(() => ({ headers: ['X-Session-Set', '{"cart":{"n":1}}'] })))
    gateway = stack.use(
      await startGateway({
        config: withNeighbour(readFileSync(join(example, 'sessiongate.yaml'), 'utf8'), neighbour.origin),
        folder,
        env: { ...env, APP: djangoUrl, LISTEN: '127.0.0.1:0', ADMIN_LISTEN: '127.0.0.1:0' },
      }),
    )
  })

  after(() => stack.disposeAsync())

  /** Every key in the table. */
  function keys(): string[] {
    using database = new DatabaseSync(join(folder, 'db.sqlite3'), { readOnly: true })
    return database
      .prepare('SELECT session_key FROM django_session')
      .all()
      .map(({ session_key: key }) => String(key))
  }

  test('a stranger is sent to Django’s login page, and Django is not asked', async () => {
    const visitor = await createPageVisitor(gateway.url)
    const page = await visitor.open('/note/?a=b')
    assert.deepEqual([page.status, page.location], [302, '/login/?next=%2Fnote%2F%3Fa%3Db'])
    const line = await gateway.logged('the request', (entry) => entry['url.path'] === '/note/')
    assert.equal(line.outcome, 'local')
    const login = await visitor.open(page.location ?? '')
    assert.match(login.html, /Django's own page|Django&#x27;s own page/)
    assert.deepEqual(keys(), [])
  })

  test('whom Django logs in, the gateway lets in, and other apps are told who it is', async () => {
    const visitor = await createPageVisitor(gateway.url)
    const answer = await logIn(visitor, 'Zoë 😀', '/?from=login')
    assert.deepEqual([answer.status, answer.location], [302, '/?from=login'])
    assert.equal(linesFor('sessionid', answer).length, 1)
    const home = await visitor.open('/')
    assert.equal(home.status, 200)
    assert.match(home.html, /Hello, Zoë 😀\./)
    assert.deepEqual(
      home.setCookies.filter((line) => line.startsWith('sessionid')),
      [],
    )
    await visitor.open('/neighbour/')
    const claims = neighbour.requests.at(-1)?.claims()
    assert.equal(claims?.auth, true)
    assert.deepEqual(claims?.ses, { userInfo: { name: 'Zoë 😀' } })
    assert.deepEqual(neighbour.requests.at(-1)?.values('Cookie'), [`csrftoken=${await visitor.cookie('csrftoken')}`])
  })

  test('what another app answers is in request.session, beside what Django put there', async () => {
    const visitor = await createPageVisitor(gateway.url)
    await logIn(visitor, 'Ada')
    await note(visitor, 'buy tea')
    await visitor.open('/neighbour/')
    const { html } = await visitor.open('/')
    assert.deepEqual(sessionShown(html), {
      userInfo: '{&#x27;name&#x27;: &#x27;Ada&#x27;}',
      note: 'buy tea',
      cart: '{&#x27;n&#x27;: 1}',
    })
    await note(visitor, 'and milk')
    assert.deepEqual(sessionShown((await visitor.open('/')).html).cart, '{&#x27;n&#x27;: 1}')
  })

  test('a session from before the gateway came is still one', async () => {
    const before = await createPageVisitor(djangoUrl)
    await logIn(before, 'Grace')
    const visitor = await createPageVisitor(gateway.url, [`sessionid=${await before.cookie('sessionid')}`])
    const { status, html, setCookies } = await visitor.open('/')
    assert.equal(status, 200)
    assert.match(html, /Hello, Grace\./)
    assert.deepEqual(
      setCookies.filter((line) => line.startsWith('sessionid')),
      [],
    )
  })

  test('cycle_key in Django: the new key has the data, and the old one is nobody’s', async () => {
    const visitor = await createPageVisitor(gateway.url)
    await logIn(visitor, 'Ada')
    await note(visitor, 'kept')
    const old = await visitor.cookie('sessionid')
    const answer = await logIn(visitor, 'Ada Lovelace')
    assert.equal(linesFor('sessionid', answer).length, 1)
    assert.notEqual(await visitor.cookie('sessionid'), old)
    assert.equal(keys().includes(old ?? ''), false)
    const { html } = await visitor.open('/')
    assert.match(html, /Hello, Ada Lovelace\./)
    assert.equal(sessionShown(html).note, 'kept')
    await assertNobody(old)
  })

  test('flush in Django ends the session for the gateway, too', async () => {
    const visitor = await createPageVisitor(gateway.url)
    await logIn(visitor, 'Ada')
    const old = await visitor.cookie('sessionid')
    const answer = await visitor.submit('/logout/', { csrfmiddlewaretoken: tokenIn(await visitor.open('/')) })
    assert.deepEqual([answer.status, answer.location], [302, '/login/'])
    assert.match(
      linesFor('sessionid', answer).join(),
      /^sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0;/,
    )
    assert.equal(await visitor.cookie('sessionid'), undefined)
    assert.equal(keys().includes(old ?? ''), false)
    await assertNobody(old)
  })

  test('a place of another site is not where a login leads', async () => {
    const visitor = await createPageVisitor(gateway.url)
    assert.equal((await logIn(visitor, 'Ada', '//evil.example/')).location, '/')
  })

  /** Whoever still has that key is sent to the login, at the page of either app, and the cookie is taken away. */
  async function assertNobody(key: string | undefined): Promise<void> {
    for (const path of ['/', '/neighbour/']) {
      const visitor = await createPageVisitor(gateway.url, [`sessionid=${key}`])
      const page = await visitor.open(path)
      assert.deepEqual([page.status, page.location], [302, `/login/?next=${encodeURIComponent(path)}`])
      assert.match(linesFor('sessionid', page).join(), /^sessionid=""; .*Max-Age=0;/)
    }
  }
})

/** Migrates, starts the development server on a free port, and gives its address. */
async function startDjango(env: Readonly<Record<string, string>>, stack: AsyncDisposableStack): Promise<string> {
  const manage = join(example, 'manage.py')
  const { code, stderr } = await runCommand(django.path, [manage, 'migrate'], { cwd: example, env })
  assert.equal(code, 0, stderr)
  const child = spawn(django.path, ['-u', manage, 'runserver', '--noreload', '127.0.0.1:0'], {
    cwd: example,
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  stack.defer(async () => {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  })
  const { promise, resolve: found } = Promise.withResolvers<string>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const url = /development server at (http:\/\/[\d.:]+)\//.exec(line)?.[1]
    if (url !== undefined) found(url)
  })
  return await within('Django to listen', promise, 60_000)
}

/** The example's own file, with one more app beside Django. */
function withNeighbour(config: string, origin: string): string {
  const upstream = `  neighbour: { servers: ["${origin}"], writeback: { allow: [cart] } }\n`
  const route = '  - { id: neighbour, match: { path: /neighbour/* }, upstream: neighbour, auth: required }\n'
  const changed = config.replace(/^upstreams:\n/m, `$&${upstream}`).replace(/^routes:\n/m, `$&${route}`)
  assert.ok(changed.includes(upstream) && changed.includes(route))
  return changed
}

async function logIn(visitor: PageVisitor, name: string, next?: string): Promise<Page> {
  const path = next === undefined ? '/login/' : `/login/?next=${encodeURIComponent(next)}`
  const csrfmiddlewaretoken = tokenIn(await visitor.open(path))
  return await visitor.submit(path, { csrfmiddlewaretoken, name, password: 'any' })
}

async function note(visitor: PageVisitor, text: string): Promise<void> {
  const csrfmiddlewaretoken = tokenIn(await visitor.open('/'))
  const { status } = await visitor.submit('/note/', { csrfmiddlewaretoken, note: text })
  assert.equal(status, 302)
}

function tokenIn({ html }: Page): string {
  return /name="csrfmiddlewaretoken" value="(\w+)"/.exec(html)?.[1] ?? assert.fail(html)
}

/** The table of the example's page, values as HTML. */
function sessionShown(html: string): Record<string, string> {
  return Object.fromEntries([...html.matchAll(/data-key="(\w+)">([^<]*)</g)].map(([, key, value]) => [key, value]))
}

function linesFor(cookie: string, { setCookies }: Page): string[] {
  return setCookies.filter((line) => line.startsWith(`${cookie}=`))
}
