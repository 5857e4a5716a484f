import { CookieJar } from 'tough-cookie'

export interface Fetched {
  readonly status: number
  readonly headers: Headers
  readonly setCookies: readonly string[]
  readonly text: string
}

/** A browser as far as cookies go: keeps them by RFC 6265, sends them back, follows no redirect. */
export interface JarBrowser {
  readonly jar: CookieJar
  fetch(path: string, init?: RequestInit): Promise<Fetched>
  /** The value of that cookie; undefined for none. */
  cookie(name: string): Promise<string | undefined>
}

export function createJarBrowser(baseUrl: string): JarBrowser {
  const jar = new CookieJar()
  return {
    jar,
    async fetch(path, init = {}) {
      const url = `${baseUrl}${path}`
      const cookie = await jar.getCookieString(url)
      const headers = new Headers(init.headers)
      if (cookie !== '') headers.set('Cookie', cookie)
      const response = await fetch(url, { redirect: 'manual', ...init, headers })
      const setCookies = response.headers.getSetCookie()
      for (const line of setCookies) await jar.setCookie(line, url, { ignoreError: true })
      return { status: response.status, headers: response.headers, setCookies, text: await response.text() }
    },
    async cookie(name) {
      const cookies = await jar.getCookies(`${baseUrl}/`)
      return cookies.find(({ key }) => key === name)?.value
    },
  }
}
