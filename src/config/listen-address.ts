import { isIPv4, isIPv6 } from 'node:net'
import { resolve } from 'node:path'
import type { ListenAddress } from '../lib/listening.ts'

/** sun_path of Linux without its final NUL; macOS has four bytes less. */
const MAX_SOCKET_PATH_BYTES = 107

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/

/**
 * `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `:8080` for all interfaces, `unix:/run/x.sock`; `undefined` for
 * anything else. A relative socket path starts at `directory`.
 */
export function parseListenAddress(text: string, directory: string): ListenAddress | undefined {
  if (text.startsWith('unix:')) {
    const path = resolve(directory, text.slice('unix:'.length))
    const isGood =
      text.length > 'unix:'.length && !path.includes('\0') && Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES
    return isGood ? { kind: 'unix', path } : undefined
  }
  const match = /^(.*):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (match === null || port > 65535) return undefined
  const written = match[1] ?? ''
  if (written === '') return { kind: 'tcp', host: undefined, port }
  const host = parseListenHost(written)
  return host === undefined ? undefined : { kind: 'tcp', host, port }
}

function parseListenHost(text: string): string | undefined {
  if (text.startsWith('[')) {
    const address = text.slice(1, -1)
    return text.endsWith(']') && isIPv6(address) ? address : undefined
  }
  if (isIPv4(text)) return text
  // A name that ends in a number is a mistyped address: 127.0.0.256, 127.1.
  return HOST_NAME.test(text) && !/(^|\.)\d+$/.test(text) ? text.toLowerCase() : undefined
}

/** True for addresses that only this machine can reach. */
export function isLocalAddress(address: ListenAddress): boolean {
  if (address.kind === 'unix') return true
  return (
    address.host !== undefined &&
    (address.host === 'localhost' || address.host === '::1' || /^127\./.test(address.host))
  )
}

/** True if the second of the two could not be opened while the first is open. */
export function collide(a: ListenAddress, b: ListenAddress): boolean {
  if (a.kind === 'unix' || b.kind === 'unix') return a.kind === 'unix' && b.kind === 'unix' && a.path === b.path
  // Port 0 is a new one each time.
  if (a.port !== b.port || a.port === 0) return false
  return a.host === b.host || isAllInterfaces(a.host) || isAllInterfaces(b.host)
}

function isAllInterfaces(host: string | undefined): boolean {
  return host === undefined || host === '0.0.0.0' || host === '::'
}
