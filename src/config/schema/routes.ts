import { z } from 'zod'
import { cookieDomain, headerName, headerValue, name, sessionPath } from './names.ts'
import { choice, duration, flag, list, mapping, nullable, oneOrMore, size, text } from './scalars.ts'
import { routeLogin } from './signing.ts'
import { include, writeback } from './upstreams.ts'

/** `enforce` or `observe`, at the top and in a route. */
export function mode() {
  return choice(['enforce', 'observe'])
}

const match = mapping({
  host: oneOrMore(text('a host'), 'a host').optional().describe('app.example.com or *.example.com; absent = any'),
  path: oneOrMore(text('a path'), 'a path').optional().describe('/login, or /admin/* with all below; absent = any'),
  method: oneOrMore(text('a method'), 'a method').optional().describe('GET takes HEAD along; absent = any'),
})

function headerMap<Value extends z.ZodType<string, string>>(value: Value) {
  return z.record(headerName(), value, { error: 'a mapping of header names' }).default({})
}

const headers = mapping({
  session: headerMap(sessionPath()).describe('Header name: path into the session. The app gets one value each'),
  request: headerMap(headerValue()).describe('Header name: value, sent to the app'),
  response: headerMap(headerValue()).describe('Header name: value, sent to the browser'),
})

const rewrite = mapping({
  strip_prefix: text('a path such as /legacy')
    .optional()
    .describe('Cut from the path before it goes up, such as /legacy'),
  add_prefix: text('a path such as /app').optional().describe('Put before what is left of the path, such as /app'),
  location: flag().default(true).describe('Turn Location and Content-Location back into what browsers ask for'),
  cookie_path: flag().default(true).describe('The same for Path of the app’s cookies'),
  cookie_domain: z
    .record(cookieDomain(), cookieDomain().nullable(), { error: 'a mapping of domains' })
    .default({})
    .describe('Domain of the app’s cookies: what it becomes; null = the host alone'),
})

const rule = {
  auth: choice(['public', 'optional', 'required'])
    .default('optional')
    .describe('public = nothing is asked; optional = require and allow decide; required = somebody is logged in'),
  require: list(sessionPath(), 'a list of paths into the session')
    .default([])
    .describe('Paths that must be truthy, as Python sees it'),
  allow: text('an expression').optional().describe('CEL over session and request; anything but true is a no'),
  mode: mode().optional().describe('observe = let it pass and log what enforce would have done'),
  on_deny: choice(['auto', 'redirect', 'status'])
    .default('auto')
    .describe('auto = page navigations go to the login, anything else gets 401'),
  csrf: choice(['off', 'same-site']).default('off').describe('same-site = refuse changes that come from other sites'),
  login: routeLogin,
}

const limits = mapping({
  body: nullable(size())
    .prefault(null)
    .describe('Of a request body; null = no limit, the default: bodies are streamed'),
})

const keepPost = mapping({
  max: size(512, 12 * 1024)
    .prefault('3KiB')
    .describe('Of the form, compressed and sealed, in cookies; at most 12KiB. What is larger is not kept'),
  for: duration({ max: '1h' }).prefault('15m').describe('How long it is kept'),
})

const websocket = z.union(
  [
    z.literal(false),
    mapping({
      origins: list(text('an origin'), 'a list of origins')
        .default([])
        .describe('Further origins that may connect, such as https://other.example'),
      idle: duration().prefault('5m').describe('A socket on which nothing moves for this long is closed'),
    }),
  ],
  { error: 'false, or a mapping such as { origins: [], idle: 5m }' },
)

/** `routes`. */
export const routes = list(
  mapping({
    id: name().describe('For logs, metrics and messages'),
    match: match.describe('Which requests; all that is named must fit'),
    upstream: name().describe('A name under upstreams'),
    session: choice(['none']).optional().describe('none = no cookie is read and no assertion sent'),
    ...rule,
    on_store_error: choice(['unavailable', 'anonymous'])
      .default('unavailable')
      .describe('When the store is down: 503, or serve as anonymous'),
    ambiguous_paths: choice(['refuse', 'allow']).default('refuse').describe('Paths such as /a%2Fb and /a//b'),
    cors_preflight: choice(['refuse', 'allow'])
      .default('refuse')
      .describe('allow = CORS preflights go to the app without being asked who they are'),
    method_overrides: choice(['cut', 'keep']).default('cut').describe('X-HTTP-Method-Override and its like'),
    include: include.optional().describe('Keys in the assertion; absent = those of the upstream'),
    writeback: writeback.optional().describe('Narrows the upstream’s'),
    headers: headers.prefault({}).describe('Headers that the gateway sets'),
    rewrite: rewrite.prefault({}).describe('Another path for the app than for the browser'),
    keep_post: keepPost
      .optional()
      .describe('Keep a form that was sent after the session had ended, and offer to send it again after the login'),
    limits: limits.prefault({}).describe('Bounds of a request'),
    websocket: websocket.prefault({}).describe('false = no WebSockets'),
  }),
  'a list of routes',
).describe('The first that matches decides, in the order of the file')
