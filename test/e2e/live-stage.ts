import { join } from 'node:path'
import { jsonText } from '../../src/django/json.ts'
import { type CommandResult, plainEnvironment, runCommand } from '../support/command.ts'
import { startApp } from '../support/echo-upstream.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { checkout } from './command-folder.ts'

export const TOKEN = 'the-token-of-this-test-0123456789'

/** What its sessions are kept in. */
const stores = {
  database: 'session: { user_id: userInfo.id }\n',
  memory: 'session: { user_id: userInfo.id, engine: cache }\ncaches: { default: { backend: memory } }\n',
} as const

export interface LiveStageOptions {
  /** Default a database, which the command line can open too. */
  readonly store?: keyof typeof stores
  /** What stands behind `admin:`. Default a socket beside the configuration, and a token. */
  readonly admin?: string
}

export interface LiveStage extends AsyncDisposable {
  readonly gateway: TestGateway
  /** The configuration that the gateway was started with. */
  readonly config: string
  /** Runs a command line beside the gateway's configuration, `sessiongate.yaml`. */
  run(line: string, env?: Readonly<Record<string, string>>): Promise<CommandResult>
  /** Somebody logs in with this in `userInfo`, and perhaps with other keys; gives the cookie. */
  logIn(userInfo: Readonly<Record<string, unknown>>, others?: Readonly<Record<string, unknown>>): Promise<string>
  /** Of an answer to that cookie: 200, or 401 without a session. */
  statusOf(cookie: string): Promise<number>
}

/** A gateway, an app that logs people in as they say, and a shell in which `sessiongate` is a command. */
export async function openLiveStage(options: LiveStageOptions = {}): Promise<LiveStage> {
  await using stack = new AsyncDisposableStack()
  const app = stack.use(
    await startApp((request, response) => {
      const keys = new URL(request.url ?? '', 'http://app').searchParams.get('keys')
      if (keys !== null) response.setHeader('X-Session-Set', jsonText(JSON.parse(keys)))
      response.end('app')
    }),
  )
  const { store = 'database', admin = `{ listen: "unix:./admin.sock", token: ${TOKEN} }` } = options
  const config = `version: 1
listen: [{ address: "127.0.0.1:0" }]
admin: ${admin}
${stores[store]}upstreams: { app: { servers: ["${app.origin}", "http://127.0.0.1:9"], writeback: { allow: ["*"] } } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: ops, match: { path: /ops }, upstream: app, auth: required, allow: 'session.userInfo.role == "ops"' }
  - { id: app, match: { path: /* }, upstream: app, auth: required }
`
  const gateway = stack.use(await startGateway({ config }))
  const script = `sessiongate() { "${process.execPath}" "${join(checkout, 'src/main.ts')}" "$@"; }`
  const closing = stack.move()
  return {
    gateway,
    config,
    run: (line, env = {}) =>
      runCommand('sh', ['-c', `${script}\n${line}`], { cwd: gateway.folder, env: { ...plainEnvironment(), ...env } }),
    async logIn(userInfo, others = {}) {
      const keys = encodeURIComponent(JSON.stringify({ userInfo, cart: ['canary'], ...others }))
      const answer = await fetch(`${gateway.url}/login?keys=${keys}`, { method: 'POST' })
      return answer.headers.getSetCookie()[0]?.split(';', 1)[0] ?? ''
    },
    statusOf: async (cookie) => (await fetch(`${gateway.url}/`, { headers: { cookie } })).status,
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}
