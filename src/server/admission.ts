import type { Framing } from '../http/framing.ts'
import type { RawHeaders } from '../http/headers.ts'
import type { AccessSubject } from '../rules/access.ts'
import type { Answer } from './answer.ts'
import type { LocalEndpoint } from './local-endpoints.ts'
import type { Route } from './route.ts'
import type { Place } from './visit.ts'

/** What goes up when a request is admitted. */
export interface ForwardAdmission {
  readonly kind: 'forward'
  readonly route: Route
  readonly place: Place
  readonly framing: Framing
  readonly target: string
  readonly headers: RawHeaders
  /** What the route's rule was asked about. */
  readonly subject: AccessSubject
}

/** What steps 1 to 5 came to: one of our own addresses, the answer that ends the request here, or what goes up. */
export type Admission =
  | { readonly kind: 'local'; readonly endpoint: LocalEndpoint }
  | { readonly kind: 'answer'; readonly answer: Answer }
  | ForwardAdmission
