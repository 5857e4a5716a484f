import { reservedNames } from '../../writeback/permission.ts'
import type { Path } from '../path.ts'
import type { FileConfig } from '../schema/file.ts'
import { parseUpstreamServer } from '../upstream-server.ts'
import type { CheckContext } from './context.ts'

/** Servers that are no URL of an app, and write-back lists that name what no app may write. */
export function checkUpstreams(context: CheckContext): void {
  for (const [name, upstream] of Object.entries(context.file.upstreams)) {
    const known = new Set<string>()
    for (const [at, server] of upstream.servers.entries()) {
      const path = ['upstreams', name, 'servers', at]
      if (context.isUnsure(path)) continue
      const parsed = parseUpstreamServer(server)
      if (parsed !== undefined) {
        const text = JSON.stringify(parsed)
        if (known.has(text)) {
          context.error(path, {
            message: `${context.quote(path, server)} is there twice`,
            hint: 'remove one: a server cannot be given a greater share',
          })
        }
        known.add(text)
        continue
      }
      context.error(path, {
        message: `${context.quote(path, server)} is not the address of an app`,
        hint: 'write http://host:port or https://host:port, without a path, a query or a password, or unix:/path',
      })
    }
    checkTls(context, ['upstreams', name], upstream)
    checkReservedNames(context, ['upstreams', name, 'writeback', 'allow'], upstream.writeback?.allow)
  }
}

function checkTls(context: CheckContext, path: Path, { servers, tls }: FileConfig['upstreams'][string]): void {
  if (tls === undefined) return
  if (!context.isUnsure([...path, 'tls']) && (tls.cert === undefined) !== (tls.key === undefined)) {
    context.error([...path, 'tls', tls.cert === undefined ? 'key' : 'cert'], {
      message: 'of cert and key only one is named',
      hint: 'cert and key are the two halves of one certificate of the gateway',
    })
  }
  if (context.isUnsure([...path, 'servers']) || servers.some((text) => /^https:/i.test(text))) return
  context.error([...path, 'tls'], {
    message: 'tls is for servers that begin with https://, and there is none',
    hint: 'write https://',
    atKey: true,
  })
}

/** `_gw…` and `_session_expiry` are the gateway's own; Python and JavaScript both trip over `__proto__` and its like. */
export function checkReservedNames(
  context: CheckContext,
  path: (string | number)[],
  allow: readonly string[] | undefined,
): void {
  for (const name of reservedNames({ allow: allow ?? [] })) {
    const at = allow?.indexOf(name) ?? 0
    context.error([...path, at], {
      message: `${context.quote([...path, at], name)} is reserved: no app may write it`,
      hint: 'remove it; X-Session-Expiry changes the expiry',
    })
  }
}
