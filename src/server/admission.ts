import type { Framing } from '../http/framing.ts'
import type { RawHeaders } from '../http/headers.ts'
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
  /** Asks the route again, with the session as it is by then: for connections that outlive the request. */
  readonly isStillAdmitted: () => Promise<boolean>
}

/** What steps 1 to 5 came to: one of our own addresses, the answer that ends the request here, or what goes up. */
export type Admission =
  | { readonly kind: 'local'; readonly endpoint: LocalEndpoint }
  | { readonly kind: 'answer'; readonly answer: Answer }
  | ForwardAdmission
