import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Agent, request } from 'undici'
import { type AppHandler, startApp } from '../support/app.ts'
import { within } from '../support/deadline.ts'
import { startGateway } from '../support/gateway.ts'
import type { RaceStore } from './logout-race-stores.ts'

/** So many races run at a time, each on a session of its own: only then do they meet in the store at odd moments. */
const AT_ONCE = 20

/** What a slow answer may ask of the session. None of it is a log-out, and none of it gives the session another key. */
const writes: readonly (readonly string[])[] = [
  ['X-Session-Set', '{"cart":{"n":1}}'],
  ['X-Session-Set', '{"cart":{"n":2},"lang":"de"}', 'X-Session-Expiry', '300'],
  ['X-Session-Expiry', '500'],
  ['X-Session-Delete', 'lang', 'X-Session-Set', '{"seen":true}'],
]

/** Whose answer the app lets go first; `at once`: both, one directly after the other, and the store decides. */
type Order = 'log-out first' | 'write first' | 'at once'
const orders: readonly Order[] = ['log-out first', 'write first', 'at once', 'at once', 'at once']

interface Answer {
  readonly status: number
  /** The session cookie: a key, '' where it is taken away, undefined where nothing is said. */
  readonly key: string | undefined
  readonly body: string
}

interface Outcome {
  readonly key: string
  readonly order: Order
  /** Whether the write found the session, and its cookie was sent again. */
  readonly wasStored: boolean
}

/** Two gateways on one store, before one app that holds answers back. */
interface RaceStage extends AsyncDisposable {
  readonly gateways: readonly [url: string, url: string]
  /** Sends a request whose answer the app holds; resolves when the app has got it. */
  hold(url: string, key: string, say: readonly string[]): Promise<Held>
  ask(url: string, asked: Asked): Promise<Answer>
}

interface Held {
  release(): void
  readonly answer: Promise<Answer>
}

interface Asked {
  readonly key?: string
  readonly say?: readonly string[]
  readonly gate?: string
}

async function openRaceStage(store: RaceStore): Promise<RaceStage> {
  await using stack = new AsyncDisposableStack()
  const gates = new Map<string, { readonly arrived: () => void; readonly released: Promise<void> }>()
  const handler: AppHandler = async (asked) => {
    const gate = gates.get(asked.values('Gate')[0] ?? '')
    gate?.arrived()
    await gate?.released
    const { auth, ses } = asked.claims()
    return { headers: JSON.parse(asked.values('Say')[0] ?? '[]'), body: JSON.stringify({ auth, ses }) }
  }
  const app = stack.use(await startApp(handler))
  const config = `
session:
  secret_key: a-secret-key-of-more-than-32-bytes-0123456789
  store_timeout: 10s
  ${store.session.join('\n  ')}
${store.sections}
keys: [{ id: test, secret: "0123456789abcdef0123456789abcdef" }]
logging: { access: false }
upstreams: { app: { servers: ["${app.origin}"], writeback: { allow: ["*"] } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`
  const first = stack.use(await startGateway({ config }))
  const second = stack.use(await startGateway({ config }))
  const dispatcher = stack.use(createAgent())
  const ask: RaceStage['ask'] = async (url, { key, say = [], gate = '' }) => {
    const cookie = key === undefined ? {} : { Cookie: `sessionid=${key}` }
    const headers = { ...cookie, Accept: 'application/json', Say: JSON.stringify(say), Gate: gate }
    const { statusCode, headers: came, body } = await request(url, { dispatcher, headers })
    const [line] = [came['set-cookie'] ?? []].flat()
    const value = line === undefined ? undefined : (/^sessionid=([^;]*)/.exec(line)?.[1] ?? line)
    return { status: statusCode, key: value === '""' ? '' : value, body: await body.text() }
  }
  let held = 0
  const closing = stack.move()
  return {
    gateways: [first.url, second.url],
    ask,
    async hold(url, key, say) {
      const gate = `gate ${++held}`
      const arrival = Promise.withResolvers<void>()
      const release = Promise.withResolvers<void>()
      gates.set(gate, { arrived: arrival.resolve, released: release.promise })
      const answer = ask(url, { key, say, gate }).finally(() => gates.delete(gate))
      await within('the request to reach the app', Promise.race([arrival.promise, answer]))
      return { release: release.resolve, answer }
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

function createAgent(): Agent & AsyncDisposable {
  const agent = new Agent({ connections: 4 * AT_ONCE })
  return Object.assign(agent, { [Symbol.asyncDispose]: () => agent.destroy() })
}

/**
 * So many log-outs, each against a slow answer of the other process that writes into the same session: whatever the
 * order, the session is gone afterwards, and nobody was given another one.
 */
export async function assertLogoutsWin(t: TestContext, store: RaceStore, count: number): Promise<void> {
  await using stage = await openRaceStage(store)
  const outcomes: Outcome[] = []
  while (outcomes.length < count) {
    const batch = Math.min(AT_ONCE, count - outcomes.length)
    const ended = await Promise.all(Array.from({ length: batch }, () => race(stage)))
    assert.deepEqual(await store.remains(ended.map(({ key }) => key)), [], 'nothing is left in the store')
    outcomes.push(...ended)
  }
  const told = orders
    .filter((order, i) => orders.indexOf(order) === i)
    .map((order) => {
      const those = outcomes.filter((outcome) => outcome.order === order)
      return `${order}: ${those.length}, of which ${those.filter(({ wasStored }) => wasStored).length} were stored before`
    })
  t.diagnostic(`${count} races, 0 resurrected; ${told.join('; ')}`)
}

async function race(stage: RaceStage): Promise<Outcome> {
  const [here, there] = Math.random() < 0.5 ? stage.gateways : stage.gateways.toReversed()
  const { key = '' } = await stage.ask(pick([here, there]), {
    say: ['X-Session-Set', '{"userInfo":{"id":1},"lang":"en"}'],
  })
  assert.match(key, /^[a-z0-9]{32}$/)
  const [writing, leaving] = await Promise.all([
    stage.hold(here, key, pick(writes)),
    stage.hold(there, key, ['X-Session-Command', 'flush']),
  ])
  const order = pick(orders)
  const [written, left] = await settle({ writing, leaving }, order)
  const about = `${order}: ${JSON.stringify({ written, left })}`
  assert.deepEqual([written.status, left.status, left.key], [200, 200, ''], about)
  assert.ok(written.key === undefined || written.key === key, `nobody gets another key; ${about}`)
  if (order === 'log-out first') assert.equal(written.key, undefined, `no cookie after the log-out; ${about}`)
  if (order === 'write first') assert.equal(written.key, key, about)
  for (const url of stage.gateways) {
    const thief = await stage.ask(url, { key })
    assert.equal(thief.body, '{"auth":false,"ses":{}}', `the old cookie finds nothing; ${about}`)
  }
  return { key, order, wasStored: written.key !== undefined }
}

async function settle(
  { writing, leaving }: { readonly writing: Held; readonly leaving: Held },
  order: Order,
): Promise<[written: Answer, left: Answer]> {
  const [first, second] =
    order === 'write first' || (order === 'at once' && Math.random() < 0.5) ? [writing, leaving] : [leaving, writing]
  first.release()
  if (order !== 'at once') await first.answer
  second.release()
  return await Promise.all([writing.answer, leaving.answer])
}

function pick<T>(values: readonly [T, ...T[]] | readonly T[]): T {
  const value = values[Math.floor(Math.random() * values.length)]
  if (value === undefined) throw new TypeError('nothing to pick')
  return value
}
