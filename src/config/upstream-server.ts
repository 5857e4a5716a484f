import { parseListenAddress } from './listen-address.ts'

/** What an entry of `servers` names. */
export interface UpstreamServer {
  readonly kind: 'http' | 'https' | 'unix'
  /** `http://host:port`, lower-case and without the port of the scheme; or `unix:` and an absolute path. */
  readonly origin: string
}

/**
 * `http://127.0.0.1:8000`, `https://app.internal` or `unix:/run/app.sock`; `undefined` for what is none of them, or has
 * more than scheme, host and port. A relative path starts at `directory`.
 */
export function parseUpstreamServer(text: string, directory = '/'): UpstreamServer | undefined {
  if (text.startsWith('unix:')) {
    const address = parseListenAddress(text, directory)
    return address?.kind === 'unix' ? { kind: 'unix', origin: `unix:${address.path}` } : undefined
  }
  const url = URL.parse(text)
  if (url === null || !/^https?:\/\/[^/?#@\\\s]+\/?$/i.test(text)) return undefined
  return { kind: url.protocol === 'https:' ? 'https' : 'http', origin: url.origin }
}
