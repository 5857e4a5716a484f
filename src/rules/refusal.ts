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
