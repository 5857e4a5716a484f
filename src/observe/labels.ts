/** What the `route` label says while no route is known: no route can have this id. */
export const NO_ROUTE = '-'

const knownMethods: ReadonlySet<string> = new Set([
  'CONNECT',
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
  'TRACE',
])

/** OpenTelemetry's rule: a method that is not of the known set counts as `_OTHER`, or strangers would make up series. */
export function methodLabel(method: string): string {
  return knownMethods.has(method) ? method : '_OTHER'
}

/** Every status of the five classes that HTTP has; an app can answer any three digits. */
const statuses: ReadonlyMap<number, StatusLabels> = new Map(
  Array.from({ length: 500 }, (_, i) => 100 + i).map((status) => [
    status,
    { exact: String(status), class: `${Math.floor(status / 100)}xx` },
  ]),
)

interface StatusLabels {
  readonly exact: string
  readonly class: string
}

/** The exact status, `other` for a number that is none, `none` without one. */
export function statusLabel(status: number | undefined): string {
  if (status === undefined) return 'none'
  return statuses.get(status)?.exact ?? 'other'
}

/** `2xx` for 204. */
export function statusClassLabel(status: number | undefined): string {
  if (status === undefined) return 'none'
  return statuses.get(status)?.class ?? 'other'
}
