import type { Framing } from '../http/framing.ts'
import type { RawHeaders } from '../http/headers.ts'
import type { EpochMs } from '../lib/clock.ts'
import type { AccessSubject } from '../rules/access.ts'
import type { RoutedRequest } from '../rules/route-table.ts'
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

/** What is asked again while a connection that outlives its request is open. */
export interface Admitted extends Pick<ForwardAdmission, 'subject'> {
  /** By which a route is found. */
  readonly asked: RoutedRequest
  /** Of the session cookie; undefined for none. */
  readonly cookieValue: string | undefined
}

export interface Readmission {
  readonly isAdmitted: boolean
  /** When the session is over if nothing changes it; undefined = there is none, or its store does not tell. */
  readonly until: EpochMs | undefined
}

/** What steps 1 to 5 came to: one of our own addresses, the answer that ends the request here, or what goes up. */
export type Admission =
  | { readonly kind: 'local'; readonly endpoint: LocalEndpoint }
  | { readonly kind: 'answer'; readonly answer: Answer }
  | ForwardAdmission
