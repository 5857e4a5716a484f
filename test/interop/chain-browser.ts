import { once } from 'node:events'
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import { buffer } from 'node:stream/consumers'
import { CookieJar } from 'tough-cookie'
import { within } from '../support/deadline.ts'

/** The name that browsers know the shop by. */
export const SHOP_HOST = 'shop.example'

/** Where a browser comes in. */
export interface FrontDoor {
  readonly scheme: 'http' | 'https'
  readonly port: number
  /** PEM of the authority, for https. */
  readonly ca: string
}

export interface Visited {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly setCookies: readonly string[]
  /** As it came: nothing is unpacked. */
  readonly body: Buffer
}

export interface VisitOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Several pieces are sent in chunks, without a length. */
  readonly body?: Buffer | readonly Buffer[]
}

/** Somebody with a browser at an address of their own, and with the worst intentions: see {@link forgeries}. */
export interface ChainBrowser extends Disposable {
  readonly address: string
  readonly origin: string
  visit(path: string, options?: VisitOptions): Promise<Visited>
  /** The value of a cookie; undefined for none. */
  cookie(name: string): Promise<string | undefined>
}

/** Sent with every request: what a visitor would like an app to believe. Nothing of it may arrive. */
const forgeries: Readonly<Record<string, string>> = {
  'X-Session-Assertion': 'eyJmb3JnZWQiOnRydWV9.eyJmb3JnZWQiOnRydWV9.forged',
  X_Session_Assertion: 'eyJmb3JnZWQiOnRydWV9.eyJmb3JnZWQiOnRydWV9.forged',
  'X-User-Name': 'forged',
  X_User_Name: 'forged',
  'X-Session-Set': '{"userInfo":{"name":"forged"}}',
  'X-Forwarded-For': '203.0.113.9',
  'X-Forwarded-Host': 'forged.example',
  'X-Forwarded-Port': '666',
  'X-Real-IP': '203.0.113.9',
  'True-Client-IP': '203.0.113.9',
  'CF-Connecting-IP': '203.0.113.9',
  Forwarded: 'for=203.0.113.9;host=forged.example;proto=https',
  Proxy: 'http://forged.example/',
  'X-HTTP-Method-Override': 'FORGED',
  'X-Original-URL': '/forged',
  'X-Rewrite-URL': '/forged',
}

/** What the forgeries have in common. */
export const forged = /forged|203\.0\.113\.9|\b666\b/i

const navigation = {
  Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Mode': 'navigate',
}

/** `cookies`: lines such as `sessionid=abc` that the visitor has from elsewhere. */
export async function openChainBrowser(
  { scheme, port, ca }: FrontDoor,
  address: string,
  cookies: readonly string[] = [],
): Promise<ChainBrowser> {
  const origin = `${scheme}://${SHOP_HOST}`
  const jar = new CookieJar()
  for (const line of cookies) await jar.setCookie(line, origin)
  const agent =
    scheme === 'https'
      ? new SecureAgent({ keepAlive: true, ca, servername: SHOP_HOST, localAddress: address })
      : new Agent({ keepAlive: true, localAddress: address })

  async function visit(path: string, { method = 'GET', headers = {}, body }: VisitOptions = {}): Promise<Visited> {
    const cookie = await jar.getCookieString(`${origin}${path}`)
    const isForm = method === 'POST'
    const asking: ClientRequest = (scheme === 'https' ? secureRequest : request)({
      agent,
      host: '127.0.0.1',
      port,
      path,
      method,
      headers: {
        Host: SHOP_HOST,
        ...forgeries,
        'X-Forwarded-Proto': scheme === 'https' ? 'http' : 'https',
        ...navigation,
        'Sec-Fetch-Site': isForm ? 'same-origin' : 'none',
        ...(isForm ? { Origin: origin, Referer: `${origin}/` } : {}),
        ...(cookie === '' ? {} : { Cookie: cookie }),
        ...(Buffer.isBuffer(body) ? { 'Content-Length': String(body.length) } : {}),
        ...headers,
      },
    })
    const answered = within(`an answer to ${method} ${path}`, once(asking, 'response'), 30_000)
    if (body !== undefined) for (const piece of Buffer.isBuffer(body) ? [body] : body) asking.write(piece)
    asking.end()
    const [response] = (await answered) as [IncomingMessage]
    const setCookies = response.headers['set-cookie'] ?? []
    for (const line of setCookies) await jar.setCookie(line, `${origin}${path}`, { ignoreError: true })
    const { statusCode: status = 0, headers: received } = response
    return { status, headers: received, setCookies, body: await within(`all of ${path}`, buffer(response), 30_000) }
  }

  return {
    address,
    origin,
    visit,
    async cookie(name) {
      const found = await jar.getCookies(`${origin}/`)
      return found.find(({ key }) => key === name)?.value
    },
    [Symbol.dispose]: () => agent.destroy(),
  }
}
