import { z } from 'zod'
import { name } from './names.ts'
import { choice, count, duration, flag, list, mapping, nullable, size, text, textLike } from './scalars.ts'

/** `writeback` of an upstream or a route; absent = nothing is permitted, or what the upstream permits. */
export const writeback = mapping({
  allow: list(text('a key of the session'), 'a list of session keys, or ["*"]')
    .default([])
    .describe('Exact top-level names; "*" = all that do not begin with _'),
  commands: list(choice(['flush', 'clear', 'cycle-key', 'expiry']), 'a list of commands')
    .optional()
    .describe('Default: all with "*" in allow, else none'),
})

/** `include`: the keys in the assertion. */
export const include = list(text('a key of the session'), 'a list of session keys, or null').nullable()

const timeouts = mapping({
  connect: duration().prefault('2s').describe('Until the connection stands'),
  first_byte: duration().prefault('30s').describe('Until the answer begins'),
  idle: duration().prefault('60s').describe('Between two pieces of a body'),
  min_rate: nullable(size())
    .prefault(null)
    .describe('Bytes a second of an answer’s body, over each idle; null = at any pace, as event streams need it'),
})

const health = mapping({
  path: textLike(/^\/[!-~]*$/, 'a path such as /healthz')
    .default('/healthz')
    .describe('Path that is asked for'),
  host: textLike(/^[!-.0-~]+$/, 'a host such as app.example.com')
    .optional()
    .describe('Host that is asked for; left out = that of the server'),
  interval: duration().prefault('10s').describe('How often'),
  timeout: duration().prefault('2s').describe('How long an answer may take; 200 to 399 is a good one'),
  unhealthy_after: count(1, 100).default(3).describe('Failures in a row'),
  healthy_after: count(1, 100).default(2).describe('Successes in a row'),
})

const tls = mapping({
  ca: text('a path')
    .optional()
    .describe('PEM file with the authorities of the servers; left out = those of the system'),
  cert: text('a path').optional().describe('PEM file with the certificate that the gateway shows'),
  key: text('a path').optional().describe('PEM file with the private key of cert'),
  server_name: text('a name')
    .optional()
    .describe('The name in the servers’ certificate, where it is not that in servers'),
})

const upstream = mapping({
  servers: list(text('a URL such as http://127.0.0.1:8000'), 'a list of URLs: [http://127.0.0.1:8000]')
    .min(1, { error: 'a list with at least one URL' })
    .describe('http://host:port of the app, https://host:port or unix:/path; several share the requests'),
  balance: choice(['round_robin', 'least_conn', 'hash_session'])
    .default('round_robin')
    .describe('hash_session: requests of one session go to one server'),
  pass_host: flag().default(true).describe('Send the browser’s Host; false = the server’s own'),
  session_cookie: choice(['strip', 'pass'])
    .default('strip')
    .describe('strip = the gateway owns the cookie; pass = the app reads and writes the same sessions itself'),
  include: include.default(null).describe('Keys in the assertion; null = all that do not begin with _'),
  writeback: writeback.optional().describe('What the app may change in the session; absent = nothing'),
  timeouts: timeouts.prefault({}).describe('How long the app may take'),
  retries: count(0, 10).default(1).describe('Further attempts, of idempotent methods before the first response byte'),
  tls: tls.optional().describe('For https://'),
  health: health.optional().describe('Active checks; absent = none'),
})

/** `upstreams`, by name. */
export const upstreams = z
  .record(name(), upstream, { error: 'a mapping of names to apps' })
  .describe('The apps behind the gateway')
