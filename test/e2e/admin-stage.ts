import type { z } from 'zod'
import { endpoints } from '../../src/admin/endpoints.ts'
import { startApp } from '../support/echo-upstream.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts'

export const TOKEN = 'the-token-of-this-test-0123456789'

interface Asked {
  readonly method?: string
  readonly body?: unknown
  readonly token?: string | null
  readonly headers?: Readonly<Record<string, string>>
}

interface Answered {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: answers are judged member by member
  readonly body: any
  readonly headers: Headers
}

export function configOf(origin: string, more = ''): string {
  return `version: 1
${more.includes('workers') ? 'workers: 2\n' : ''}listen: [{ address: "127.0.0.1:0" }]
admin: { listen: "127.0.0.1:0", token: ${TOKEN}${more.includes('show_values') ? ', show_values: true' : ''} }
session: { user_id: userInfo.id, user_index: true }
upstreams: { app: { servers: ["${origin}", "http://127.0.0.1:9"], writeback: { allow: ["*"] } } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: ops, match: { path: /ops }, upstream: app, auth: required, allow: 'session.userInfo.role == "ops"' }
  - { id: app, match: { path: /* }, upstream: app, auth: required${more.includes('marked') ? ', headers: { response: { X-Mark: two } }' : ''} }
`
}

export async function openStage(more = '', options: Partial<TestGatewayOptions> = {}) {
  await using stack = new AsyncDisposableStack()
  const app = stack.use(
    await startApp((request, response) => {
      const user = new URL(request.url ?? '', 'http://app').searchParams.get('user')
      if (user !== null) {
        const role = Number(user) % 2 === 0 ? 'ops' : 'clerk'
        response.setHeader('X-Session-Set', JSON.stringify({ userInfo: { id: Number(user), role }, cart: ['canary'] }))
      }
      response.end('app')
    }),
  )
  const gateway = stack.use(await startGateway({ config: configOf(app.origin, more), ...options }))
  const closing = stack.move()
  return {
    app,
    gateway,
    ask: (path: string, asked: Asked = {}) => ask(gateway, path, asked),
    logIn: (user: number) => logIn(gateway, user),
    statusWith: async (cookie: string) => (await fetch(`${gateway.url}/`, { headers: { cookie } })).status,
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** Asks, and holds what is answered to what the document says of it. */
export async function ask({ operatorUrl }: TestGateway, path: string, asked: Asked): Promise<Answered> {
  const { body, method = body === undefined ? 'GET' : 'POST', token = TOKEN, headers = {} } = asked
  const answer = await fetch(`${operatorUrl}${path}`, {
    method,
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
  })
  const text = await answer.text()
  const value = text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text
  const pathname = path.split('?', 1)[0] ?? ''
  const endpoint = endpoints.find((one) => one.method === method && isPath(one.path, pathname))
  if (answer.status === 200 && endpoint !== undefined) (endpoint.output as z.ZodType).parse(value)
  return { status: answer.status, body: value, headers: answer.headers }
}

export function isPath(pattern: string, path: string): boolean {
  return new RegExp(`^${pattern.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path)
}

async function logIn({ url }: TestGateway, user: number): Promise<string> {
  const answer = await fetch(`${url}/login?user=${user}`, { method: 'POST' })
  return answer.headers.getSetCookie()[0]?.split(';', 1)[0] ?? ''
}
