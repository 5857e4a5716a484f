import { once } from 'node:events'
import { type IncomingMessage, request as startRequest } from 'node:http'
import { request as startSecureRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import { CookieJar } from 'tough-cookie'
import { within } from './deadline.ts'

export interface FormPage {
  readonly status: number
  readonly location: string | undefined
  values(name: string): string[]
  readonly setCookies: readonly string[]
  readonly html: string
  /** Of the whole head, as it is on the wire but for the line breaks. */
  readonly headBytes: number
}

export interface Sending {
  /** Over what a browser sends by itself; undefined leaves a header out. */
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** The Cookie line, in place of what the jar has. */
  readonly cookie?: string
}

/** Somebody who fills in forms, with headers and cookies as a browser has them; follows no redirect. */
export interface FormBrowser {
  readonly jar: CookieJar
  open(path: string, sending?: Sending): Promise<FormPage>
  /** Sends a form from a page of the same origin. */
  post(path: string, body: string, sending?: Sending): Promise<FormPage>
  /** What would be sent there as Cookie. */
  cookiesFor(path: string): Promise<string>
}

/** `address`: where to connect, in place of the host in `baseUrl`. */
export function createFormBrowser(baseUrl: string, address: { readonly port: number }): FormBrowser {
  const jar = new CookieJar()
  const { origin, host, protocol } = new URL(baseUrl)
  const cookiesFor = (path: string): Promise<string> => jar.getCookieString(`${origin}${path}`)

  async function send(path: string, form: string | undefined, { headers = {}, cookie }: Sending): Promise<FormPage> {
    const cookies = cookie ?? (await cookiesFor(path))
    const all = {
      Host: host,
      Connection: 'close',
      Accept: 'text/html,application/xhtml+xml',
      'Sec-Fetch-Dest': 'document',
      'Sec-Fetch-Mode': 'navigate',
      'Sec-Fetch-Site': form === undefined ? 'none' : 'same-origin',
      Cookie: cookies === '' ? undefined : cookies,
      ...(form === undefined
        ? {}
        : {
            Origin: origin,
            Referer: `${origin}/edit?id=7`,
            'Content-Type': 'application/x-www-form-urlencoded',
            'Content-Length': String(Buffer.byteLength(form)),
          }),
      ...headers,
    }
    const request = (protocol === 'https:' ? startSecureRequest : startRequest)({
      ...address,
      host: '127.0.0.1',
      path,
      method: form === undefined ? 'GET' : 'POST',
      headers: Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)),
      agent: false,
      rejectUnauthorized: false,
    })
    request.end(form)
    const [response] = (await within(`an answer from ${path}`, once(request, 'response'))) as [IncomingMessage]
    const setCookies = response.headers['set-cookie'] ?? []
    for (const line of setCookies) await jar.setCookie(line, `${origin}${path}`, { ignoreError: true })
    const { rawHeaders } = response
    return {
      status: response.statusCode ?? 0,
      location: response.headers.location,
      values: (name) => rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name),
      setCookies,
      html: await text(response),
      headBytes: rawHeaders.join('12').length + 40,
    }
  }

  return {
    jar,
    cookiesFor,
    open: (path, sending = {}) => send(path, undefined, sending),
    post: (path, body, sending = {}) => send(path, body, sending),
  }
}

/** The body that a browser sends for the page's form, if its fields hold ASCII. */
export function bodyOf(html: string): string {
  const fields = [...html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)]
  const plain = (value = ''): string =>
    value.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
  return new URLSearchParams(fields.map(([, name, value]) => [plain(name), plain(value)])).toString()
}
