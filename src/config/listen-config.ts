import type { ListenAddress } from '../lib/listening.ts'
import type { Secret } from './secret.ts'

/** Where something listens, for whomever. */
export interface ListenConfig {
  readonly address: ListenAddress
  /** As the file says it, for log lines. */
  readonly text: string
}

/** Where browsers come to. */
export interface PublicListenConfig extends ListenConfig {
  /** Connections begin with a header of the PROXY protocol, and come from trusted proxies only. Default false. */
  readonly proxyProtocol: boolean
  /** `undefined` = plain http. Behind a PROXY header the handshake is what follows it. */
  readonly tls: TlsConfig | undefined
  /** Nothing is served there, browsers are sent to https at this port; `undefined` = it serves. */
  readonly httpsPort: number | undefined
}

/** Paths are absolute; `name` is the path as the file says it, for log and metrics. */
export interface TlsConfig {
  /** At least one; the first is shown where no other is asked for. */
  readonly certificates: readonly { readonly name: string; readonly certFile: string; readonly keyFile: string }[]
  /** `undefined` = clients are not asked for a certificate. */
  readonly clientCa: { readonly name: string; readonly file: string; readonly isRequired: boolean } | undefined
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
}

/** The operator's listener. */
export interface AdminConfig {
  readonly listen: ListenConfig
  /** `undefined` = plain http. A client certificate by its `clientCa` opens `/api`, and is never required. */
  readonly tls?: TlsConfig | undefined
  /** Opens `/api`; `undefined` = only a client certificate does. */
  readonly token: Secret | undefined
  /** Whether `/api` shows the values in sessions. Default false. */
  readonly showsValues: boolean
}

/** A listener for /metrics, /livez and /readyz alone. */
export interface ProbesConfig {
  readonly listen: ListenConfig
}
