import assert from 'node:assert/strict'
import { stringify } from 'yaml'
import { type AppHandler, startApp } from '../support/app.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'

const SECRET_KEY = 'a-secret-key-of-more-than-32-bytes-0123456789'

/** A gateway with its app, and what one sees of its memory from outside. */
export interface LocalCacheStage extends AsyncDisposable {
  readonly gateway: TestGateway
  /** A log-in by a browser without cookies; the key of the session. */
  logIn(user: string): Promise<string>
  /** What the app is told of the session; undefined for somebody who is not let in. */
  dataOf(key: string): Promise<Readonly<Record<string, unknown>> | undefined>
  /** The name of its user. */
  userOf(key: string): Promise<string | undefined>
  /** The app answers this session's request with that command. */
  command(key: string, ...header: [name: string, value: string]): Promise<void>
  /** What `/readyz` says. */
  state(): Promise<string>
  metric(series: string): Promise<number>
}

/** Sets what the request's `User` says as the user, and answers with the command that it asks for. */
const app: AppHandler = ({ values, claims }) => {
  const [user] = values('User')
  const [command] = values('Command')
  const body = JSON.stringify(claims().ses)
  if (user !== undefined) return { body, headers: ['X-Session-Set', JSON.stringify({ userInfo: { name: user } })] }
  return { body, headers: command === undefined ? [] : (JSON.parse(command) as string[]) }
}

/** @param sections Of the YAML: `session`, and where it is kept. */
export async function openLocalCacheStage(sections: Readonly<Record<string, object>>): Promise<LocalCacheStage> {
  await using stack = new AsyncDisposableStack()
  const upstream = stack.use(await startApp(app))
  const { session = {}, ...stores } = sections
  const config = stringify({
    session: { secret_key: SECRET_KEY, ...session },
    keys: [{ id: 'test', secret: '0123456789abcdef0123456789abcdef' }],
    upstreams: { app: { servers: [upstream.origin], writeback: { allow: ['*'] } } },
    routes: [
      { id: 'login', match: { path: '/login' }, upstream: 'app', auth: 'public' },
      { id: 'app', match: { path: '/*' }, upstream: 'app', auth: 'required' },
    ],
    ...stores,
  })
  const gateway = stack.use(await startGateway({ config }))
  const closing = stack.move()
  const ask = async (key: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
    await fetch(`${gateway.url}/page`, {
      headers: { Cookie: `sessionid=${key}`, Accept: 'application/json', ...headers },
    })
  const dataOf: LocalCacheStage['dataOf'] = async (key) => {
    const response = await ask(key)
    const text = await response.text()
    if (response.status === 401) return undefined
    assert.equal(response.status, 200, text)
    return JSON.parse(text) as Readonly<Record<string, unknown>>
  }
  return {
    gateway,
    dataOf,
    async logIn(user) {
      const response = await fetch(`${gateway.url}/login`, { headers: { User: user } })
      await response.body?.cancel()
      const [, key] = /^sessionid=([a-z0-9]{32});/.exec(response.headers.getSetCookie()[0] ?? '') ?? []
      assert.ok(key, `${response.status} ${JSON.stringify(gateway.log.slice(-2))}`)
      return key
    },
    async userOf(key) {
      const data = await dataOf(key)
      return (data?.userInfo as { readonly name: string } | undefined)?.name
    },
    async command(key, ...header) {
      const response = await ask(key, { Command: JSON.stringify(header) })
      assert.equal(response.status, 200, await response.text())
    },
    async state() {
      const response = await fetch(`${gateway.operatorUrl}/readyz`)
      assert.equal(response.status, 200)
      const { checks } = (await response.json()) as { readonly checks: Readonly<Record<string, string>> }
      return checks.local_cache ?? ''
    },
    async metric(series) {
      const text = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
      const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `))
      return line === undefined ? 0 : Number(line.slice(series.length + 1))
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** Of looks for a session. */
export const lookups = (result: string): string => `sessiongate_session_cache_requests_total{result="${result}"}`

/** Of reads of the store. */
export const reads = (store: string): string =>
  `sessiongate_session_store_operations_total{store="${store}",op="load",result="ok"}`
