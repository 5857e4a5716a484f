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

/** The exact status, within the five classes that HTTP has; an app can answer any three digits. */
export function statusLabel(status: number | undefined): string {
  if (status === undefined) return 'none'
  return isStatus(status) ? String(status) : 'other'
}

/** `2xx` for 204. */
export function statusClassLabel(status: number | undefined): string {
  if (status === undefined) return 'none'
  return isStatus(status) ? `${Math.floor(status / 100)}xx` : 'other'
}

function isStatus(status: number): boolean {
  return Number.isInteger(status) && status >= 100 && status <= 599
}
