import { z } from 'zod'
import { choice, count, duration, flag, list, mapping, secret, text, textLike } from './scalars.ts'

const addressPhrase =
  'host:port, such as 127.0.0.1:8080, [::1]:8080 or :8080 for all interfaces, or unix:/path/to/socket'

/** Where a socket listens, as text: `readListenAddress` takes it apart. */
function address() {
  return textLike(/^(unix:.+|.*:[0-9]{1,5})$/, addressPhrase)
}

const pair = {
  cert: text('a path').describe('PEM file with the certificate chain, the own one first'),
  key: text('a path').describe('PEM file with the private key'),
}

const clientCa = text('a path')
  .optional()
  .describe('PEM file with the authorities of client certificates; left out = clients are not asked for one')

const minVersion = choice(['1.2', '1.3']).default('1.2').describe('Oldest TLS that is spoken')

const tls = mapping({
  ...pair,
  certificates: list(mapping(pair), 'a list of certificates: [{ cert: shop.crt, key: shop.key }]')
    .default([])
    .describe('Further certificates, chosen by the host that a client asks for (SNI)'),
  client_ca: clientCa,
  client_cert: choice(['required', 'optional'])
    .default('required')
    .describe('Whether a client may come without a certificate, where client_ca asks for one'),
  min_version: minVersion,
})

/** `listen`. */
export const listen = list(
  mapping({
    address: address().describe('host:port, :port for all interfaces, or unix:/path'),
    proxy_protocol: flag()
      .default(false)
      .describe('Connections begin with a header of the PROXY protocol, v1 or v2, and come from trusted_proxies only'),
    tls: tls.optional().describe('Speaks TLS here; left out = plain http'),
    redirect_to_https: z
      .union([flag(), count(1, 65535)], { error: 'true, false, or the port of https, such as 8443' })
      .default(false)
      .describe('Nothing is served here: browsers are sent to https, at port 443 or the one that is named'),
  }),
  'a list of addresses: [{ address: 127.0.0.1:8080 }]',
)
  .min(1, { error: 'a list with at least one address' })
  .prefault([{ address: '127.0.0.1:8080' }])
  .describe('Where the gateway listens for browsers')

const off = z.literal('off', { error: 'the word off' })

/** `admin`. */
export const admin = z
  .union(
    [
      off,
      mapping({
        listen: z
          .union([off, address()], { error: `${addressPhrase}, or off` })
          .default('127.0.0.1:9901')
          .describe('Address of the operator’s listener, or off'),
        tls: mapping({ ...pair, client_ca: clientCa, min_version: minVersion })
          .optional()
          .describe('Speaks TLS here; whoever shows a certificate of client_ca may use /api. Left out = plain http'),
        token: secret().optional().describe('Opens /api to whoever has it'),
        show_values: flag()
          .default(false)
          .describe('Whether /api shows the values in a session; otherwise only what kind each is of'),
      }),
    ],
    { error: 'off, or a mapping such as { listen: 127.0.0.1:9901 }' },
  )
  .prefault({})
  .describe('The operator’s listener: /metrics, /livez, /readyz; off = none')

/** `probes`. */
export const probes = mapping({ listen: address().describe('host:port or unix:/path') })
  .optional()
  .describe('A further listener with nothing but /metrics, /livez and /readyz')

/** `logging`. */
export const logging = mapping({
  level: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('Lines below it are not written'),
  access: flag().default(true).describe('One line for each request'),
})
  .prefault({})
  .describe('What is written to standard output')

/** `shutdown`. */
export const shutdown = mapping({
  drain: duration().prefault('20s').describe('How long running requests may take to end after SIGTERM'),
  readiness_delay: duration({ zero: true })
    .prefault('0s')
    .describe('How long /readyz says no before the listener closes, so that balancers notice'),
})
  .prefault({})
  .describe('What happens after SIGTERM and SIGINT')
