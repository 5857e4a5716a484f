import { Counter, Gauge, type Registry } from 'prom-client'

/** What the listeners show, and what came of showing it. `name`: of the certificate, as the configuration has it. */
export interface TlsMetrics {
  /** It is in force; `notAfter` in ms since 1970, undefined for a list of authorities. `isNew`: it came from a changed file. */
  taken(name: string, certificate: { readonly notAfter: number | undefined; readonly isNew: boolean }): void
  /** Its files have changed and cannot be used; the one before stays. */
  refused(name: string): void
  /** Those of other names are shown no more: nobody must be warned of their end. */
  keepOnly(names: ReadonlySet<string>): void
  /** A handshake came to nothing; the reason is from a closed set. */
  handshakeFailed(reason: string): void
}

export function createTlsMetrics(registry: Registry): TlsMetrics {
  const registers = [registry]
  const notAfter = new Gauge({
    name: 'sessiongate_tls_certificate_not_after_timestamp_seconds',
    help: 'When the certificate ends that is in force.',
    labelNames: ['name'],
    registers,
    // Of several workers the one that has not seen the new files yet.
    aggregator: 'min',
  })
  const reloads = new Counter({
    name: 'sessiongate_tls_certificate_reloads_total',
    help: 'Changed certificate files: taken over, or refused because they cannot be used.',
    labelNames: ['name', 'result'],
    registers,
  })
  const successful = new Gauge({
    name: 'sessiongate_tls_certificate_last_reload_successful',
    help: '0 while the files of a certificate cannot be used and the one before stays in force.',
    labelNames: ['name'],
    registers,
    aggregator: 'min',
  })
  const failures = new Counter({
    name: 'sessiongate_tls_handshake_failures_total',
    help: 'TLS handshakes that came to nothing, by reason.',
    labelNames: ['reason'],
    registers,
  })
  const taken = new Set<string>()
  return {
    taken(name, certificate) {
      taken.add(name)
      if (certificate.notAfter !== undefined) notAfter.set({ name }, certificate.notAfter / 1000)
      if (certificate.isNew) reloads.inc({ name, result: 'success' })
      successful.set({ name }, 1)
    },
    refused(name) {
      reloads.inc({ name, result: 'failure' })
      successful.set({ name }, 0)
    },
    keepOnly(names) {
      for (const name of taken) {
        if (names.has(name)) continue
        taken.delete(name)
        notAfter.remove({ name })
        successful.remove({ name })
      }
    },
    handshakeFailed: (reason) => failures.inc({ reason }),
  }
}
