import { count, duration, mapping, nullable, size } from './scalars.ts'

/** How fast a client has to be. */
function pace(grace: string) {
  return mapping({
    grace: duration().prefault(grace).describe('By how much time a client may be behind, from the start on'),
    min_rate: size().prefault(500).describe('Bytes a second that a client must come to'),
  })
}

/** `limits` at the top: what clients may cost, all together and each. Of each process. */
export const limits = mapping({
  connections: nullable(count(1, 1_000_000))
    .prefault(null)
    .describe('Of clients, at once; null = as many as the open files of the process allow'),
  connections_per_address: nullable(count(1, 1_000_000))
    .prefault(null)
    .describe('Of one IPv4 address or one /64 of IPv6, at once; trusted_proxies are not counted. null = any number'),
  requests: nullable(count(1, 1_000_000))
    .prefault(10_000)
    .describe('Under way at once; more are answered with 503. null = any number'),
  event_loop_delay: nullable(duration({ max: '1m' }))
    .prefault('250ms')
    .describe(
      'When the process is behind by more than this, a share of new requests is answered with 503; null = none',
    ),
  head: duration({ max: '1h' }).prefault('30s').describe('The head of a request must be there by then'),
  keep_alive: duration({ max: '1h' }).prefault('75s').describe('How long a connection is kept on which nothing comes'),
  upload: nullable(pace('20s'))
    .prefault({})
    .describe('How fast the body of a request must come while the app takes it; null = at any pace'),
  download: nullable(pace('60s'))
    .prefault({})
    .describe('How fast an answer must be taken while there is some of it; null = at any pace'),
})
  .prefault({})
  .describe('What clients may cost, all together and each')
