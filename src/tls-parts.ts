import type { TlsConfig } from './config/listen-config.ts'
import { systemClock } from './lib/clock.ts'
import { createLineLimit } from './observe/line-limit.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import { type CertificateNotices, openCertificates } from './server/certificates.ts'
import type { TlsParts } from './server/http-front.ts'

/** Handshakes that fail are mostly the doing of strangers, and cost them nothing. */
const FAILURES_LOGGED = { lines: 20, everyMs: 10_000 }

interface Parts {
  readonly log: Log
  readonly metrics: Metrics
}

/** Opens the certificates of a listener, which are watched until the stack is disposed; throws when one cannot be used. */
export type TlsOpener = (config: TlsConfig, stack: AsyncDisposableStack) => Promise<TlsParts>

/** What failed handshakes are told of is limited over all listeners. */
export function createTlsOpener({ log, metrics }: Parts): TlsOpener {
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
    return { settings, certificates, onHandshakeFailure }
  }
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
