import assert from 'node:assert/strict'
import { type AppHandler, startApp } from '../support/app.ts'
import { createJarBrowser, type JarBrowser } from '../support/browser-jar.ts'
import { within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { type DjangoProject, type DjangoSettings, startDjango } from './django-project.ts'
import { sharedStoreYaml } from './shared-store.ts'
import type { SharedPlace, StoreServers } from './stores.ts'

/** A Django site and a Node app behind one gateway, over the sessions of the Django project. */
export interface LiveStage extends AsyncDisposable {
  readonly settings: DjangoSettings
  readonly project: DjangoProject
  readonly gateway: TestGateway
  /** The Django site itself, past the gateway. */
  readonly siteUrl: string
  /** Makes the app keep its next answer back. */
  holdNextAnswer(): HeldAnswer
}

export interface HeldAnswer {
  /** Resolves when the app has been asked. */
  readonly asked: Promise<void>
  give(): void
}

/** What a page of `django_site.py` says. */
export interface Page {
  readonly user: string
  readonly key: string | null
  readonly data: Readonly<Record<string, unknown>>
}

/** What the app was told, and what the browser got beside it. */
export interface Said {
  readonly auth: boolean
  readonly ses: Readonly<Record<string, unknown>>
  readonly setCookies: readonly string[]
}

/** Somebody with a browser. */
export interface Visitor {
  readonly browser: JarBrowser
  /** A page of Django, through the gateway; it must be there. */
  page(path: string): Promise<Page>
  /** Makes the app say these header lines. */
  say(...lines: string[]): Promise<Said>
  /** The session cookie; '' for none. */
  key(): Promise<string>
  /** The status of the guarded page for whoever has this key, and none of the browser's cookies. */
  statusFor(key: string): Promise<number>
  /** Whom Django itself sees behind this key, past the gateway; '' for nobody. */
  userInDjango(key: string): Promise<string>
}

/** One visitor at a time, on a stage that stands for all of a suite. */
export interface Live {
  readonly stage: LiveStage
  readonly visitor: Visitor
}

export async function openLiveStage(place: SharedPlace, servers: StoreServers): Promise<LiveStage> {
  await using stack = new AsyncDisposableStack()
  const settings = await place.open(servers)
  const project = stack.use(await startDjango(place.python, settings))
  await project.migrate()
  await project.createUser('alice')
  const siteUrl = await project.site()
  const held: { asked: () => void; given: Promise<void> }[] = []
  const app = stack.use(
    await startApp(async (request) => {
      const next = held.shift()
      next?.asked()
      await next?.given
      return obedient(request)
    }),
  )
  const config = `
${sharedStoreYaml(project, { ...settings, more: `${settings.more ?? ''}\n  auth_key: _auth_user_id` })}
upstreams:
  site: { servers: ["${siteUrl}"], session_cookie: pass, include: [], writeback: { allow: ["*"] } }
  node: { servers: ["${app.origin}"], include: [_auth_user_id, cart], writeback: { allow: ["*"] } }
routes:
  - { id: private, match: { path: /private }, upstream: site, auth: required }
  - { id: node, match: { path: /node/* }, upstream: node, auth: optional }
  - { id: site, match: { path: /* }, upstream: site, auth: optional }
`
  const gateway = stack.use(await startGateway({ config }))
  const closing = stack.move()
  return {
    settings,
    project,
    gateway,
    siteUrl,
    holdNextAnswer() {
      const [asked, given] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      held.push({ asked: asked.resolve, given: given.promise })
      return { asked: within('the app to be asked', asked.promise), give: given.resolve }
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** The Node app answers with the header lines that the request asks for, as JSON, and with what it is told. */
const obedient: AppHandler = ({ values, claims }) => {
  const lines = JSON.parse(values('Say')[0] ?? '[]') as readonly string[]
  return {
    headers: lines.flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
    body: JSON.stringify(claims()),
  }
}

export function createVisitor({ gateway, siteUrl }: LiveStage): Visitor {
  const browser = createJarBrowser(gateway.url)
  return {
    browser,
    async page(path) {
      const { status, text } = await browser.fetch(path)
      assert.equal(status, 200, `${path}: ${text}`)
      return JSON.parse(text) as Page
    },
    async say(...lines) {
      const answer = await browser.fetch('/node/', { headers: { Say: JSON.stringify(lines) } })
      assert.equal(answer.status, 200, answer.text)
      const { auth, ses } = JSON.parse(answer.text) as Said
      return { auth, ses, setCookies: answer.setCookies }
    },
    key: async () => (await browser.cookie('sessionid')) ?? '',
    async statusFor(key) {
      const headers = { Cookie: `sessionid=${key}`, Accept: 'application/json' }
      const response = await fetch(`${gateway.url}/private`, { headers })
      await response.arrayBuffer()
      return response.status
    },
    async userInDjango(key) {
      const response = await fetch(siteUrl, { headers: { Cookie: `sessionid=${key}` } })
      assert.equal(response.status, 200)
      return ((await response.json()) as Page).user
    },
  }
}
