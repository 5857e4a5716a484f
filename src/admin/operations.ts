import type {
  ConfigurationView,
  ExplanationView,
  HistoryView,
  KeyView,
  Overview,
  ReloadView,
  Revocation,
  RouteView,
  SessionList,
  SessionView,
  StoreView,
  UpstreamView,
} from './views.ts'

/** Which sessions are meant: those of a user, or those in which a key has a value. */
export type SessionQuery =
  | { readonly kind: 'all' }
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'value'; readonly path: readonly string[]; readonly value: unknown }

type Soon<T> = T | Promise<T>

/** What the operator can learn and do; asked by the API, the page and the command line. */
export interface Operations {
  overview(): Promise<Overview>
  /** The last hour, or what there is of it since the start. */
  history(): Soon<HistoryView>
  routes(): Soon<readonly RouteView[]>
  /** @throws {OperationRefused} when there is no such session. */
  explain(question: { method: string; url: string; session: string | undefined }): Promise<ExplanationView>
  /** The first page, or the one that a cursor stands for. @throws {OperationRefused} */
  listSessions(
    query: SessionQuery | { readonly kind: 'cursor'; readonly cursor: string },
    limit: number,
  ): Promise<SessionList>
  /** Undefined: there is no such session. */
  showSession(id: string): Promise<SessionView | undefined>
  /** @throws {OperationRefused} where nothing can be revoked. */
  revokeSessions(which: SessionQuery | { readonly kind: 'ids'; readonly ids: readonly string[] }): Promise<Revocation>
  upstreams(): Soon<readonly UpstreamView[]>
  /**
   * A drained server gets no new requests. @returns false if there is no such server.
   *
   * @throws {OperationRefused} where it could not be said to every worker; the message names those.
   */
  setDrained(place: { upstream: string; server: string }, isDrained: boolean): Soon<boolean>
  configuration(): Promise<ConfigurationView>
  reload(): Promise<ReloadView>
  keys(): Soon<readonly KeyView[]>
  store(options: { isCounted: boolean }): Promise<StoreView>
  /** Deletes what has expired, now. */
  clearExpired(): Promise<number>
  /**
   * Tells of each request from now on, as its line in the access log has it, and of how many it has no line for want of
   * room; returns the way to stop.
   */
  watchRequests(listener: (line: string) => void, onLeftOut?: (count: number) => void): () => void
}

/** What was asked cannot be done; the message says why, and goes to the operator. */
export class OperationRefused extends Error {
  override readonly name = 'OperationRefused'
}

/** It failed elsewhere, and the log has been told there. */
export class OperationFailed extends Error {
  override readonly name = 'OperationFailed'
}
