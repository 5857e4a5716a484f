import type { Path } from './path.ts'
import type { FileConfig } from './schema/file.ts'

/** `listen[].tls`. */
export type FileListenerTls = NonNullable<FileConfig['listen'][number]['tls']>

type FileAdminTls = NonNullable<Exclude<FileConfig['admin'], 'off'>['tls']>

/** `admin.tls` as that of any listener: one certificate, and clients are asked for one of theirs, but need none. */
export function listenerTls(tls: FileAdminTls): FileListenerTls {
  return { ...tls, certificates: [], client_cert: 'optional' }
}

/** Every listener of the file that speaks TLS, and where that stands in it. */
export function tlsPlaces({
  listen,
  admin,
}: FileConfig): readonly { readonly tls: FileListenerTls; readonly path: Path }[] {
  const ours = admin === 'off' || admin.listen === 'off' ? undefined : admin.tls
  const places = listen.map(({ tls }, at) => ({ tls, path: ['listen', at, 'tls'] }))
  return [...places, { tls: ours && listenerTls(ours), path: ['admin', 'tls'] }].flatMap(({ tls, path }) =>
    tls === undefined ? [] : [{ tls, path }],
  )
}
