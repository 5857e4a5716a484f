import { once } from 'node:events'
import { type IncomingMessage, request as startRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { CookieJar } from 'tough-cookie'
import { within } from './deadline.ts'

export interface Page {
  readonly status: number
  /** The `Location`; undefined where there is none. */
  readonly location: string | undefined
  /** The lines of `Set-Cookie`. */
  readonly setCookies: readonly string[]
  readonly html: string
}

/**
 * Somebody with a browser, as far as headers and cookies go: opens pages and sends forms. Follows no redirect.
 * `fetch` cannot play this part: it says of itself, in `Sec-Fetch-Mode`, that it is no navigation.
 */
export interface PageVisitor {
  open(path: string): Promise<Page>
  submit(path: string, fields: Readonly<Record<string, string>>): Promise<Page>
  /** The value of that cookie; undefined for none. */
  cookie(name: string): Promise<string | undefined>
}

/** `cookies`: lines such as `sessionid=abc` that the visitor has from elsewhere. */
export async function createPageVisitor(baseUrl: string, cookies: readonly string[] = []): Promise<PageVisitor> {
  const jar = new CookieJar()
  for (const line of cookies) await jar.setCookie(line, baseUrl)

  async function visit(path: string, form?: string): Promise<Page> {
    const url = new URL(path, baseUrl)
    const cookie = await jar.getCookieString(url.href)
    const request = startRequest(url, {
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
        'Sec-Fetch-Dest': 'document',
        'Sec-Fetch-Mode': 'navigate',
        'Sec-Fetch-Site': form === undefined ? 'none' : 'same-origin',
        ...(cookie === '' ? {} : { Cookie: cookie }),
        ...(form === undefined ? {} : { Origin: url.origin, 'Content-Type': 'application/x-www-form-urlencoded' }),
      },
    })
    request.end(form)
    const [response] = (await within(`an answer from ${url.href}`, once(request, 'response'))) as [IncomingMessage]
    const setCookies = response.headers['set-cookie'] ?? []
    for (const line of setCookies) await jar.setCookie(line, url.href, { ignoreError: true })
    const { statusCode: status = 0, headers } = response
    return { status, location: headers.location, setCookies, html: await text(response) }
  }

  return {
    open: (path) => visit(path),
    submit: (path, fields) => visit(path, new URLSearchParams(fields).toString()),
    async cookie(name) {
      const found = await jar.getCookies(baseUrl)
      return found.find(({ key }) => key === name)?.value
    },
  }
}
