import type { AccessDecision } from './access.ts'
import type { AccessRule } from './rule.ts'

/** How a route answers somebody who is not logged in. */
export type OnDeny = 'auto' | 'redirect' | 'status'

/** A refused request: who asks, and what the route says about it. */
export interface RefusedRequest {
  readonly outcome: 'login' | 'forbidden'
  readonly onDeny: OnDeny
  /** Whether a person waits for a page, see `isPageNavigation`. */
  readonly isNavigation: boolean
  readonly method: string
}

/** What the refused request is answered with: on to the login, or a status that a program understands. */
export type Refusal =
  | { readonly kind: 'redirect'; readonly status: 302 | 303 }
  | { readonly kind: 'status'; readonly status: 401 | 403 }

/**
 * Which answer a refusal is. Only who is not logged in is sent to the login: whoever is, would come back from there to
 * the same refusal and go round for ever. After another method than GET and HEAD the status is 303, so that the browser
 * does not send the body of a form to the login page (RFC 9110, section 15.4.4).
 */
export function refusalFor({ outcome, onDeny, isNavigation, method }: RefusedRequest): Refusal {
  if (outcome === 'forbidden') return { kind: 'status', status: 403 }
  const isRedirect = onDeny === 'redirect' || (onDeny === 'auto' && isNavigation)
  if (!isRedirect) return { kind: 'status', status: 401 }
  return { kind: 'redirect', status: method === 'GET' || method === 'HEAD' ? 302 : 303 }
}

/** What becomes of a decision under the route's mode. */
export interface Enforcement {
  /** Whether the request goes on to the app. */
  readonly passes: boolean
  /** What `enforce` does, or would have done where the route only observes. */
  readonly enforced: AccessDecision['outcome']
}

/** `observe` lets everything pass and tells what `enforce` would have done; nothing else of a route is softened by it. */
export function enforcementOf(decision: AccessDecision, mode: AccessRule['mode']): Enforcement {
  return { passes: decision.outcome === 'allow' || mode === 'observe', enforced: decision.outcome }
}
