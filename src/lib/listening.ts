import { unlink } from 'node:fs/promises'
import { type AddressInfo, connect, type Server } from 'node:net'

/** Where a socket listens. `host` is undefined for all interfaces; port 0 lets the system choose. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string | undefined; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/** Resolves when the server listens there. @throws {Error} the system's, when it may not or cannot. */
export async function listenOn(server: Server, address: ListenAddress): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  if (address.kind === 'unix') await removeDeadSocket(address.path)
  server.listen(address.kind === 'unix' ? { path: address.path } : tcpOptions(address), resolve)
  await promise
  server.off('error', reject)
}

/** `host:port` as bound, or the socket's path. The server listens. */
export function addressText(server: Server, address: ListenAddress): string {
  if (address.kind === 'unix') return address.path
  const bound = server.address() as AddressInfo
  return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`
}

/** A process that was killed leaves its socket file behind; one on which somebody answers is left alone. */
async function removeDeadSocket(path: string): Promise<void> {
  const probe = connect(path)
  const isDead = await new Promise<boolean>((resolve) => {
    probe.once('connect', () => resolve(false))
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
  })
  probe.destroy()
  if (isDead) await unlink(path)
}

function tcpOptions({ host, port }: Extract<ListenAddress, { kind: 'tcp' }>): { port: number; host?: string } {
  return host === undefined ? { port } : { port, host }
}

/** Entries of a configuration by what tells them apart from one configuration to the next: an address, and which one of the same it is (port 0). */
export function addressKeys<L extends { readonly text: string }>(listens: readonly L[]): ReadonlyMap<string, L> {
  const keyed = new Map<string, L>()
  for (const listen of listens) {
    let count = 1
    while (keyed.has(`${listen.text}#${count}`)) count += 1
    keyed.set(`${listen.text}#${count}`, listen)
  }
  return keyed
}
