import { createHash, hkdfSync } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { OpenSpeech } from './admin/operator-tls.ts'
import type { Config, UpstreamConfig } from './config/config.ts'
import type { TlsConfig } from './config/listen-config.ts'
import { systemClock } from './lib/clock.ts'
import { createLineLimit } from './observe/line-limit.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import type { Upstream } from './proxy/upstream.ts'
import { type CertificateNotices, openCertificates, type TlsSettings } from './server/certificates.ts'
import { createHttpFront, type TlsParts } from './server/http-front.ts'

/** Handshakes that fail are mostly the doing of strangers, and cost them nothing. */
const FAILURES_LOGGED = { lines: 20, everyMs: 10_000 }

interface Parts {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'tls'>
}

/** Opens the certificates of a listener, which are watched until the stack is disposed; throws when one cannot be used. */
export type TlsOpener = (config: TlsConfig, stack: AsyncDisposableStack) => Promise<TlsParts>

interface OpenerParts extends Parts {
  /** Known to all workers: whoever has a session ticket of one resumes with any of them. Undefined = there are no others. */
  readonly ticketSecret: Uint8Array | undefined
}

/** What failed handshakes are told of is limited over all listeners. */
export function createTlsOpener({ log, metrics, ticketSecret }: OpenerParts): TlsOpener {
  const notices = noticesOf({ log, metrics })
  const mayWrite = createLineLimit({
    ...FAILURES_LOGGED,
    onLeftOut: (count) => log.warn('tls handshakes failed, not each is told', { count }),
  })
  const onHandshakeFailure: TlsParts['onHandshakeFailure'] = ({ reason, code, peer }) => {
    metrics.tls.handshakeFailed(reason)
    // Health checks that only open a port look like this.
    if (reason === 'closed' || !mayWrite()) return
    log.info('tls handshake failed', { reason, 'error.type': code, 'network.peer.address': peer })
  }
  return async (settings, stack) => {
    const certificates = stack.use(await openCertificates(settings, { notices, clock: systemClock }))
    const ticketKeys: TlsParts['ticketKeys'] =
      ticketSecret && ((authorities) => deriveTicketKeys(ticketSecret, { settings, authorities }))
    return { settings, certificates, ticketKeys, onHandshakeFailure }
  }
}

/** The operator's listener speaks TLS as the public ones do, with certificates that are watched alike. */
export function createSpeechOpener(open: TlsOpener): OpenSpeech<TlsConfig> {
  return async (settings, stack) => {
    const parts = await open(settings, stack)
    const addressOf = (socket: Duplex): string =>
      ('remoteAddress' in socket && typeof socket.remoteAddress === 'string' && socket.remoteAddress) || ''
    return (options) => createHttpFront(options, { ...parts, addressOf })
  }
}

/** Certificates towards apps are watched until what it gives is disposed; undefined where the upstream names none. */
export type UpstreamCertificateWatch = (
  upstream: UpstreamConfig,
  opened: Pick<Upstream, 'renewCertificates'>,
) => Promise<AsyncDisposable | undefined>

/**
 * Watches the certificate files of upstreams: new connections to an app begin with what stands there, and a pair that
 * cannot be used changes nothing. Throws when one cannot be used now.
 */
export function createUpstreamCertificateWatch({ log, metrics }: Parts): UpstreamCertificateWatch {
  const notices = noticesOf({ log, metrics })
  return async (upstream, opened) => {
    const settings = upstreamSettings(upstream)
    if (settings === undefined) return undefined
    const certificates = await openCertificates(settings, { notices, clock: systemClock })
    const renew = ({ ca, cert, key }: Partial<Record<'ca' | 'cert' | 'key', unknown>>): void =>
      opened.renewCertificates({ ca: textOf(ca), cert: textOf(cert), key: textOf(key) })
    // They may have changed since the upstream was opened with them.
    renew(certificates.options)
    certificates.attach({ setSecureContext: renew })
    return certificates
  }
}

/** How log and metrics call the certificates in use. */
export function certificateNames({ listen, admin, upstreams }: Config): ReadonlySet<string> {
  const shown = [...listen.map(({ tls }) => tls), admin?.tls, ...[...upstreams.values()].map(upstreamSettings)]
  const names = shown.flatMap((tls) => [...(tls?.certificates ?? []), tls?.clientCa].map((pair) => pair?.name))
  return new Set(names.filter((name) => name !== undefined))
}

/** Undefined where no file is named. */
function upstreamSettings({ name, tls }: UpstreamConfig): TlsSettings | undefined {
  const { caFile, certFile, keyFile } = tls ?? {}
  if (caFile === undefined && certFile === undefined) return undefined
  const place = `upstreams.${name}.tls`
  return {
    certificates: certFile === undefined || keyFile === undefined ? [] : [{ name: `${place}.cert`, certFile, keyFile }],
    clientCa: caFile === undefined ? undefined : { name: `${place}.ca`, file: caFile, isRequired: false },
    minVersion: 'TLSv1.2',
  }
}

/**
 * A ticket stands for a client certificate that was looked at, or for none: listeners that ask for others have other keys,
 * and so has the same one when other authorities stand in its file.
 */
function deriveTicketKeys(secret: Uint8Array, asked: { settings: TlsConfig; authorities: unknown }): Buffer {
  const which = createHash('sha256').update(JSON.stringify(asked)).digest('hex')
  return Buffer.from(hkdfSync('sha256', secret, '', `sessiongate/tls-tickets/${which}`, 48))
}

/** Of the many forms that Node takes, ours is text. */
function textOf(pem: unknown): string | undefined {
  return typeof pem === 'string' ? pem : undefined
}

function noticesOf({ log, metrics }: Parts): CertificateNotices {
  return {
    onTaken({ name, how, notAfter }) {
      metrics.tls.taken(name, { notAfter, isNew: how === 'replaced' })
      const ends = notAfter === undefined ? undefined : new Date(notAfter).toISOString()
      const fields = { name, 'tls.server.not_after': ends }
      if (how === 'replaced') log.info('tls certificate replaced', fields)
      if (how === 'restored') log.info('tls certificate is in order again', fields)
    },
    onRefused({ name, reason }) {
      metrics.tls.refused(name)
      log.error('tls certificate not replaced, the one before stays', { name, reason })
    },
  }
}
