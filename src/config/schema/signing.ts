import { z } from 'zod'
import { choice, duration, flag, list, mapping, secret, size, text, textLike } from './scalars.ts'

/** The ids that `assertion/` takes: visible ASCII that JSON writes as it is. */
const KEY_ID = /^[!#-[\]-~]{1,128}$/
const PARAMETER = /^[A-Za-z0-9._~-]+$/

/** `keys`. */
export const keys = list(
  mapping({
    id: textLike(KEY_ID, 'an id of visible ASCII characters; a date such as 2026-11 stands in quotes').describe(
      'Becomes kid in the assertion',
    ),
    created: textLike(/^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$/, 'a date such as 2026-11-01')
      .optional()
      .describe('The day on which it was made; for /api/keys and the metric of its age'),
    secret: secret().optional().describe('For HS256: at least 32 bytes'),
    private_key: secret().optional().describe('For EdDSA and ES256: PKCS#8 PEM'),
  }),
  `a list of keys: [{ id: "2026-11", secret: "\${file:/run/secrets/key}" }]`,
)
  .min(1, { error: 'a list with at least one key; leave it out to have one made in ./var' })
  .optional()
  .describe('The first signs, all verify; left out = made in ./var at first start')

/** `signing`. */
export const signing = mapping({
  algorithm: choice(['HS256', 'EdDSA', 'ES256'])
    .default('HS256')
    .describe('HS256 = a secret of each upstream; EdDSA, ES256 = a private key, and a public one for everybody'),
  issuer: text().default('sessiongate').describe('Claim iss'),
  ttl: duration({ max: '60s' }).prefault('60s').describe('How long an assertion is good for; at most 60s'),
  bind: choice(['session', 'request']).default('session').describe('request adds htm and htu: one assertion each'),
  max_bytes: size(512, 64 * 1024)
    .prefault(4000)
    .describe('Longest assertion; a session that needs more is answered 500'),
})
  .prefault({})
  .describe('How the assertion for the apps is signed')

const loginShape = {
  url: text('a path such as /login, or an https URL').describe('Where somebody who is not logged in is sent'),
  next_param: textLike(PARAMETER, 'a parameter name of letters, digits, ".", "_", "~" and "-"').describe(
    'Query parameter that says where to go after the login',
  ),
  allowed_hosts: list(text('a host'), 'a list of hosts').describe('Other hosts that next may name, exactly'),
  guard: flag().describe('Replace an unsafe next on its way to the login page'),
}

/** `login` at the top. */
export const login = mapping({
  url: loginShape.url.default('/login'),
  next_param: loginShape.next_param.default('next'),
  allowed_hosts: loginShape.allowed_hosts.default([]),
  guard: loginShape.guard.default(true),
})
  .prefault({})
  .describe('The page that people log in at')

/** `login` of a route: what it names goes over that at the top. */
export const routeLogin = z
  .strictObject(loginShape, { error: 'a mapping' })
  .partial()
  .optional()
  .describe('Over the login at the top, key by key')
