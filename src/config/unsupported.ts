import type { Remark } from './checks/context.ts'
import type { Path } from './path.ts'
import type { FileConfig } from './schema/file.ts'
import { parseUpstreamServer } from './upstream-server.ts'

/** A part of the format that this version does not act on. Delete the entry with the version that does. */
export interface Gap {
  /** Where the file uses it; empty if it does not. */
  readonly find: (file: FileConfig) => Path[]
  readonly remark: Remark
}

const notYet = 'is not supported by this version'

/** Errors: a gateway that left these out would do something else than the file says. */
export const unsupported: readonly Gap[] = [
  {
    find: (file) => file.listen.flatMap(({ tls }, at) => when(tls !== undefined, ['listen', at, 'tls'])),
    remark: {
      message: `tls ${notYet}`,
      hint: 'end TLS in front of the gateway and name that proxy under trusted_proxies',
      atKey: true,
    },
  },
  {
    find: (file) => when(file.workers !== 1, ['workers']),
    remark: { message: `more than one worker ${notYet}`, hint: 'write workers: 1' },
  },
  {
    find: (file) => serversOf(file, 'https'),
    remark: { message: `https to the app ${notYet}`, hint: 'use http:// to an address in your own network' },
  },
  {
    find: (file) => serversOf(file, 'unix'),
    remark: { message: `a Unix socket of the app ${notYet}`, hint: 'let the app listen on 127.0.0.1 and use http://' },
  },
]

const noEffect = 'is accepted, but without effect in this version'

/** Warnings: nothing is less safe without these. */
export const withoutEffect: readonly Gap[] = [
  {
    find: ({ admin }) => when(admin !== 'off' && admin.token !== undefined, ['admin', 'token']),
    remark: { message: `admin.token ${noEffect}: there is no /api yet`, hint: 'remove it', atKey: true },
  },
]

function serversOf(file: FileConfig, kind: 'https' | 'unix'): Path[] {
  return eachUpstream(file, ({ servers }, path) =>
    servers.flatMap((server, at) => when(parseUpstreamServer(server)?.kind === kind, [...path, 'servers', at])),
  )
}

function eachUpstream(
  file: FileConfig,
  find: (upstream: FileConfig['upstreams'][string], path: Path) => Path[],
): Path[] {
  return Object.entries(file.upstreams).flatMap(([name, upstream]) => find(upstream, ['upstreams', name]))
}

function when(isUsed: boolean, path: Path): Path[] {
  return isUsed ? [path] : []
}
