/** Where a server of an upstream is, read once. */
export interface ServerAddress {
  /** As it was given: `http://host:port`, `https://host:port` or `unix:/path`. */
  readonly origin: string
  /** How logs and metrics call it: `host:port` or `unix:/path`. */
  readonly label: string
  readonly isTls: boolean
  /** What a socket connects to; the host is a name or an address, an IPv6 one without brackets. */
  readonly target: { readonly host: string; readonly port: number } | { readonly path: string }
  /** The server's own Host. A socket in the file system has no name: `localhost`, as curl and nginx say. */
  readonly authority: string
}

const UNIX = 'unix:'

/**
 * Reads an origin that the configuration has checked.
 *
 * @throws {TypeError} for anything but `http://…`, `https://…` and `unix:/…`.
 */
export function readServerAddress(origin: string): ServerAddress {
  if (origin.startsWith(UNIX)) {
    const path = origin.slice(UNIX.length)
    return { origin, label: origin, isTls: false, target: { path }, authority: 'localhost' }
  }
  const url = new URL(origin)
  const isTls = url.protocol === 'https:'
  if (!isTls && url.protocol !== 'http:') throw new TypeError(`${url.protocol} is not spoken here`)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port || (isTls ? 443 : 80))
  return { origin, label: url.host, isTls, target: { host, port }, authority: url.host }
}
