import { isDeepStrictEqual } from 'node:util'
import type { ConfigurationView, ExplanationView, RouteView } from './admin/views.ts'
import type { Config } from './config/config.ts'
import { fingerprint, publicHash } from './config/fingerprint.ts'
import { ConfigError } from './config/problem.ts'
import type { Explanation } from './explanation.ts'

const MAX_DIFFERENCES = 200

export function routeViews({ routes }: Config): RouteView[] {
  return routes.map(({ id, match, upstream, usesSession, access, onDeny }) => ({
    id,
    hosts: [...match.hosts],
    paths: [...match.paths],
    methods: [...match.methods],
    upstream,
    session: usesSession,
    auth: access.auth,
    require: [...access.require],
    allow: access.allow ?? null,
    mode: access.mode,
    on_deny: onDeny,
    csrf: access.crossSite,
  }))
}

export function explanationViewOf(explanation: Explanation): ExplanationView {
  const { target, route, goesUpAs, rules, outcome, status, location, reason, headersUp } = explanation
  return {
    target,
    route: route ?? null,
    goes_up_as: goesUpAs ?? null,
    rules: rules.map(({ id, hit, missedBy }) => ({ id, hit, missed_by: missedBy ?? null })),
    outcome,
    status: status ?? null,
    location: location ?? null,
    reason: reason ?? null,
    headers_up: [...headersUp],
  }
}

/** @param read The configuration as the file has it now. */
export async function configurationViewOf(
  inForce: Config,
  file: { readonly path: string; readonly read: () => Promise<{ readonly config: Config }> },
): Promise<ConfigurationView> {
  const shown = plainOf(inForce)
  const head = { hash: publicHash(inForce), in_force: shown }
  try {
    const { config } = await file.read()
    const differences = differencesOf(shown, plainOf(config))
    // Secrets print alike.
    if (differences.length === 0 && fingerprint(config) !== fingerprint(inForce))
      differences.push({ path: 'a secret', in_force: '[redacted]', in_file: '[redacted]' })
    return { ...head, file: { path: file.path, is_valid: true, differences, problems: [] } }
  } catch (error) {
    const problems = problemViews(error)
    return { ...head, file: { path: file.path, is_valid: false, differences: [], problems } }
  }
}

/** What is wrong, with its place; of errors of another kind the message. */
export function problemViews(error: unknown): ConfigurationView['file']['problems'] {
  if (!(error instanceof ConfigError)) {
    return [{ file: null, line: null, message: error instanceof Error ? error.message : String(error) }]
  }
  const errors = error.problems.filter(({ severity }) => severity === 'error')
  return errors.map(({ file, line, message }) => ({ file, line: line ?? null, message }))
}

/**
 * With maps and sets as JSON has them; secrets are `[redacted]`, and so is what the app gets in `headers.request`: that is
 * where its own passwords and tokens stand.
 */
function plainOf(config: Config): Record<string, unknown> {
  return JSON.parse(
    JSON.stringify(config, (name, value: unknown) => {
      if (value instanceof Map && name === 'request') return Object.fromEntries([...value.keys()].map(redacted))
      if (value instanceof Map) return Object.fromEntries(value)
      return value instanceof Set ? [...value] : value
    }),
  )
}

function redacted(name: string): [string, string] {
  return [name, '[redacted]']
}

function differencesOf(a: unknown, b: unknown, path = ''): ConfigurationView['file']['differences'] {
  if (isDeepStrictEqual(a, b)) return []
  if (!isBranch(a) || !isBranch(b) || Array.isArray(a) !== Array.isArray(b))
    return [{ path, in_force: a ?? null, in_file: b ?? null }]
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  const below = [...names].flatMap((name) => {
    const step = Array.isArray(a) ? `[${name}]` : path === '' ? name : `.${name}`
    return differencesOf(a[name], b[name], path + step)
  })
  return below.slice(0, MAX_DIFFERENCES)
}

function isBranch(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
