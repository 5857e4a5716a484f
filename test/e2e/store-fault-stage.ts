import assert from 'node:assert/strict'
import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { obedient } from '../security/stage.ts'
import { type AppHandler, startApp, type TestApp } from '../support/app.ts'
import { until } from '../support/deadline.ts'
import { type LogLine, startGateway, type TestGateway } from '../support/gateway.ts'

/** `session.store_timeout` of a stage, unless it is told otherwise. */
export const STORE_TIMEOUT_MS = 250

/** Who asks: somebody without a cookie, somebody with one, and the latter on routes that do without the store. */
export type Visitor = 'guest' | 'holder' | 'none' | 'lenient'

export interface Answer {
  readonly visitor: Visitor
  readonly status: number
  readonly durationMs: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export interface FaultStage extends AsyncDisposable {
  readonly app: TestApp
  readonly gateway: TestGateway
  /** Logs somebody in and returns the cookie; the session holds `userInfo: {"id":1}`. */
  logIn(): Promise<string>
  ask(visitor: Visitor, cookie: string, headers?: Readonly<Record<string, string>>): Promise<Answer>
  /** Sends so many requests a second, whatever becomes of them, each visitor in turn. */
  load(load: Load): Promise<readonly Answer[]>
  /** Asks as the holder of that cookie until the answer is 200; how long that took, in milliseconds. */
  untilServed(cookie: string): Promise<number>
  readyz(): Promise<number>
  /** The metric `sessiongate_store_up` of the engine's store. */
  storeUp(): Promise<number>
  /** What the log says about the state of the store so far. */
  states(): string[]
  /** Resolves when the log has said so many lines about it. */
  toldOften(count: number): Promise<void>
}

export interface Load {
  readonly cookie: string
  readonly visitors: readonly Visitor[]
  readonly ratePerSecond: number
  readonly durationMs: number
}

const paths: Readonly<Record<Visitor, string>> = { guest: '/', holder: '/', none: '/none', lenient: '/lenient' }

const saysLogin = { Say: 'X-Session-Set: {"userInfo":{"id":1}}' }

const TICK_MS = 10

/** What the app answers: who it was told that this is; what a request's `Say` and `Wait` ask for, too. */
const answering: AppHandler = async (asked) => {
  const { headers = [] } = await obedient(asked)
  const hasAssertion = asked.values('X-Session-Assertion').length > 0
  return { headers, body: JSON.stringify(hasAssertion ? asked.claims().ses : {}) }
}

export interface FaultStageOptions {
  /** Further sections of the YAML. */
  readonly sections?: string
  /** Where the gateway runs; default a folder of its own. */
  readonly folder?: string
  /** `session.store_timeout`; default {@link STORE_TIMEOUT_MS}. */
  readonly timeoutMs?: number
}

/** @param session Lines of the section `session`. */
export async function openFaultStage(
  session: readonly string[],
  { sections = '', folder, timeoutMs = STORE_TIMEOUT_MS }: FaultStageOptions = {},
): Promise<FaultStage> {
  await using stack = new AsyncDisposableStack()
  const app = stack.use(await startApp(answering))
  const config = `
session:
  store_timeout: ${timeoutMs}ms
  secret_key: a-secret-key-of-more-than-32-bytes-0123456789
  ${session.join('\n  ')}
${sections}
keys: [{ id: test, secret: "0123456789abcdef0123456789abcdef" }]
logging: { access: true }
upstreams: { app: { servers: ["${app.origin}"], writeback: { allow: ["*"] } } }
routes:
  - { id: none, match: { path: /none }, upstream: app, session: none }
  - { id: lenient, match: { path: /lenient }, upstream: app, auth: optional, on_store_error: anonymous }
  - { id: app, match: { path: /* }, upstream: app, auth: optional }
`
  const gateway = stack.use(await startGateway({ config, ...(folder === undefined ? {} : { folder }) }))
  const agent = new Agent({ keepAlive: true, maxSockets: 512 })
  stack.defer(() => agent.destroy())
  const closing = stack.move()
  const states = createStateReader(gateway.log)
  const ask: FaultStage['ask'] = (visitor, cookie, headers = {}) => {
    const known = visitor === 'guest' ? {} : { Cookie: cookie }
    return send(agent, gateway.port, { visitor, headers: { Accept: 'application/json', ...known, ...headers } })
  }
  return {
    app,
    gateway,
    ask,
    async logIn() {
      // On a busy machine a store may take longer than this short store_timeout.
      let answer = await ask('guest', '', saysLogin)
      for (let i = 0; i < 20 && answer.status === 503; i++) {
        await delay(100)
        answer = await ask('guest', '', saysLogin)
      }
      const { status, headers } = answer
      assert.equal(status, 200)
      const [line = ''] = headers['set-cookie'] ?? []
      assert.match(line, /^sessionid=/)
      return line.slice(0, line.indexOf(';'))
    },
    load: (load) => sendSteadily(ask, load),
    async untilServed(cookie) {
      const startedMs = performance.now()
      while ((await ask('holder', cookie)).status !== 200) {
        if (performance.now() - startedMs > 15_000) throw new Error('the gateway did not notice that the store is back')
        await delay(10)
      }
      return performance.now() - startedMs
    },
    readyz: async () => (await fetch(`${gateway.operatorUrl}/readyz`)).status,
    async storeUp() {
      const text = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
      const [, value] = /^sessiongate_store_up\{store="(?:db|file|cache)"\} (\d)$/m.exec(text) ?? []
      return Number(value)
    },
    states,
    toldOften: (count) => until(`${count} lines about the store`, () => states().length >= count),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** Reads on where it stopped: the log grows by a line with each request. */
function createStateReader(log: readonly LogLine[]): () => string[] {
  const states: string[] = []
  let read = 0
  return () => {
    for (const { msg } of log.slice(read)) if (msg.startsWith('session store is')) states.push(msg)
    read = log.length
    return [...states]
  }
}

function send(
  agent: Agent,
  port: number,
  { visitor, headers }: { visitor: Visitor; headers: Readonly<Record<string, string>> },
): Promise<Answer> {
  const startedMs = performance.now()
  return new Promise((resolve, reject) => {
    const asking = request({ agent, host: '127.0.0.1', port, path: paths[visitor], headers })
    asking.on('error', reject)
    asking.on('response', (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.on('error', reject)
      response.on('end', () => {
        const durationMs = performance.now() - startedMs
        resolve({ visitor, status: response.statusCode ?? 0, durationMs, headers: response.headers, body })
      })
    })
    asking.end()
  })
}

async function sendSteadily(ask: FaultStage['ask'], load: Load): Promise<readonly Answer[]> {
  const { cookie, visitors, ratePerSecond, durationMs } = load
  const answers: Promise<Answer>[] = []
  const startedMs = performance.now()
  for (;;) {
    const passedMs = performance.now() - startedMs
    const due = Math.floor((Math.min(passedMs, durationMs) * ratePerSecond) / 1000)
    while (answers.length < due) {
      const visitor = visitors[answers.length % visitors.length]
      if (visitor !== undefined) answers.push(ask(visitor, cookie))
    }
    if (passedMs >= durationMs) return await Promise.all(answers)
    await delay(TICK_MS)
  }
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/**
 * The promise for a store that is down: whoever does without it is served, whoever needs it gets 503 and keeps the
 * cookie; nobody is taken for somebody else, and nobody is logged out. Some may still have been served in the moment when
 * the fault began.
 */
export function assertPromise(answers: readonly Answer[], { mayServeHolders = false } = {}): void {
  for (const { visitor, status, headers, body } of answers) {
    const about = `${visitor} got ${status} ${JSON.stringify(headers)} ${body}`
    assert.equal(headers['set-cookie'], undefined, about)
    if (status === 503) {
      assert.equal(visitor, 'holder', about)
      assert.match(String(headers['retry-after']), /^\d+$/, about)
      assert.equal(JSON.parse(body).code, 'ERR_STORE_UNAVAILABLE', about)
      continue
    }
    assert.equal(status, 200, about)
    const seen = JSON.parse(body) as { userInfo?: unknown }
    if (visitor === 'guest' || visitor === 'none') assert.equal(seen.userInfo, undefined, about)
    if (visitor === 'holder') {
      assert.ok(mayServeHolders, about)
      assert.deepEqual(seen.userInfo, { id: 1 }, about)
    }
  }
}

export interface Durations {
  readonly p50: number
  readonly p99: number
}

/** How long those waited who needed the store, and those who did not, which tells how busy the machine was. */
export function summary(answers: readonly Answer[]): { readonly holder: Durations; readonly guest: Durations } {
  const of = (name: Visitor): Durations => {
    const durations = answers.filter(({ visitor }) => visitor === name).map(({ durationMs }) => durationMs)
    return { p50: Math.round(percentile(durations, 0.5)), p99: Math.round(percentile(durations, 0.99)) }
  }
  return { holder: of('holder'), guest: of('guest') }
}
