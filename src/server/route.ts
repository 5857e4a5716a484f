import type { AssertionIssuer } from '../assertion/issuer.ts'
import type { AnswerRewrite } from '../http/answer-rewrite.ts'
import type { RawHeaders } from '../http/headers.ts'
import type { PathRewrite } from '../http/path-rewrite.ts'
import type { Upstream } from '../proxy/upstream.ts'
import type { AccessDecision, AccessSubject } from '../rules/access.ts'
import type { Login } from '../rules/login.ts'
import type { OnDeny } from '../rules/refusal.ts'
import type { RoutedRule } from '../rules/rule.ts'
import type { Permission } from '../writeback/permission.ts'

/** One route with everything compiled that can be thought out at start. */
export interface Route extends RoutedRule {
  /** False for `session: none`. */
  readonly usesSession: boolean
  readonly decide: (subject: AccessSubject) => AccessDecision
  readonly login: Login
  readonly onDeny: OnDeny
  readonly onStoreError: 'unavailable' | 'anonymous'
  readonly upstream: Upstream
  /** The longest time in which no byte moves, towards the app or the browser; in milliseconds. */
  readonly idleMs: number
  /** Who owns the session cookie: the gateway alone, or the app beside it. */
  readonly sessionCookie: 'strip' | 'pass'
  /** The servers behind it: two routes that have one in common lead to one app. */
  readonly servers: ReadonlySet<string>
  /** The path that goes up; undefined = the browser's. */
  readonly pathRewrite: PathRewrite | undefined
  /** Turns the app's addresses in an answer into the browser's; undefined = they are the same. */
  readonly rewriteAnswer: AnswerRewrite | undefined
  /** Cuts from a request what no client may tell the app. */
  readonly cleanRequest: (raw: RawHeaders, peer: { readonly trusted: boolean }) => string[]
  /** Fixed lines for the app, for the browser. */
  readonly requestLines: RawHeaders
  readonly responseLines: RawHeaders
  /** Undefined with `session: none`. */
  readonly issuer: AssertionIssuer | undefined
  readonly permission: Permission
  /** Undefined = no limit. */
  readonly maxBodyBytes: number | undefined
  /** Forms that come from nobody are kept until after the login, within these bounds; undefined = none is. */
  readonly keepPost: { readonly maxBytes: number; readonly lifetimeMs: number } | undefined
  /** Undefined = upgrades are refused. */
  readonly websocket: { readonly origins: readonly string[]; readonly idleMs: number } | undefined
}
