import { parseHost } from '../../../src/http/host.ts'
import { readTarget, type Target } from '../../../src/http/target.ts'
import type { AccessRule, RoutedRule, RouteMatch } from '../../../src/rules/rule.ts'

export const anyMatch: RouteMatch = { hosts: [], paths: [], methods: [] }

export const publicAccess: AccessRule = { auth: 'public', require: [], mode: 'enforce', crossSite: 'off' }
export const requiredAccess: AccessRule = { ...publicAccess, auth: 'required' }

/** A route; whatever is not said is open, for any host, path and method. */
export function route(
  id: string,
  {
    match = {},
    access = publicAccess,
    ...rest
  }: { match?: Partial<RouteMatch>; access?: AccessRule; ambiguousPaths?: RoutedRule['ambiguousPaths'] } = {},
): RoutedRule {
  return { id, match: { ...anyMatch, ...match }, access, ambiguousPaths: 'refuse', ...rest }
}

/** The target as the pipeline reads it, for the host `app.example`. */
export function targetOf(text: string): Target {
  const host = parseHost('app.example')
  if (host === undefined) throw new TypeError('the sample host is none')
  return readTarget(text, host)
}
