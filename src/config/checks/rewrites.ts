import { GatewayError } from '../../errors.ts'
import { compilePathRewrite } from '../../http/path-rewrite.ts'
import { readTarget } from '../../http/target.ts'
import { compileMatch, compilePathPattern, isPathUnder, pathPatternProblem } from '../../rules/patterns.ts'
import { compileRouteTable } from '../../rules/route-table.ts'
import type { RoutedRule } from '../../rules/rule.ts'
import type { FileRoute } from '../schema/file.ts'
import type { CheckContext } from './context.ts'
import { soundHosts, soundRules } from './reachability.ts'

/** Prefixes that are no paths, or that the route's own paths do not have; and routes whose changed paths others guard better. */
export function checkRewrites(context: CheckContext): void {
  for (const [at, route] of context.file.routes.entries()) checkRewrite(context, at, route)
  warnOfGuarded(context)
}

function checkRewrite(context: CheckContext, at: number, route: FileRoute): void {
  const { strip_prefix: stripped, add_prefix: added } = route.rewrite
  const path = ['routes', at, 'rewrite']
  for (const [key, prefix] of [
    ['strip_prefix', stripped],
    ['add_prefix', added],
  ] as const) {
    const problem = prefix === undefined || context.isUnsure([...path, key]) ? undefined : prefixProblem(prefix)
    if (problem === undefined) continue
    context.error([...path, key], {
      message: `${context.quote([...path, key], prefix ?? '')} is not a prefix: ${problem}`,
      hint: 'write a path such as /legacy, with a slash before it and none behind it',
    })
  }
  if (stripped === undefined && added === undefined) return
  if (route.ambiguous_paths === 'allow') {
    context.error([...path], {
      message:
        'a path that can be read in several ways cannot be rewritten: ambiguous_paths: allow and rewrite exclude each other',
      hint: 'remove one of the two',
      atKey: true,
    })
  }
  if (stripped === undefined || prefixProblem(stripped) !== undefined) return
  if (context.isUnsure([...path, 'strip_prefix']) || context.isUnsure(['routes', at, 'match'])) return
  const below = compilePathPattern(`${stripped}/*`)
  const outside = (route.match.path ?? ['/*']).find(
    (pattern) => pathPatternProblem(pattern) === undefined && !isPathUnder(below, compilePathPattern(pattern).path),
  )
  if (outside === undefined) return
  context.error([...path, 'strip_prefix'], {
    message: `the route takes ${outside}, which does not begin with ${context.quote([...path, 'strip_prefix'], stripped)}`,
    hint: `write match: { path: ${stripped}/* }`,
  })
}

function prefixProblem(prefix: string): string | undefined {
  if (prefix.endsWith('/')) return 'it ends with a slash'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are among what must not be there.
  if (/[^\x00-\x7f]/.test(prefix)) return 'letters beyond ASCII are written as %XX'
  return prefix.includes('*') ? '"*" means nothing here' : pathPatternProblem(prefix)
}

/** Asked of the route table itself, with one path for each pattern. */
function warnOfGuarded(context: CheckContext): void {
  const { routes } = context.file
  const rules = soundRules(context)
  if (rules.length < routes.length) return
  const table = compileRouteTable(rules, soundHosts(context))
  const serversOf = ({ id }: RoutedRule): ReadonlySet<string> =>
    new Set(context.file.upstreams[routes[Number(id)]?.upstream ?? '']?.servers)
  for (const rule of rules) {
    const { strip_prefix: stripPrefix = '', add_prefix: addPrefix = '' } = routes[Number(rule.id)]?.rewrite ?? {}
    if (stripPrefix === '' && addPrefix === '') continue
    if ([stripPrefix, addPrefix].some((prefix) => prefix !== '' && prefixProblem(prefix) !== undefined)) continue
    const rewrite = compilePathRewrite({ stripPrefix, addPrefix })
    const match = compileMatch(rule.match)
    const host = sampleHost(match, soundHosts(context)[0])
    for (const { kind, path } of match.paths) {
      const sample = kind === 'exact' ? path : `${path}/sample`
      const target = rewrite.up(readTarget(sample, { name: host, received: host }))
      if (target === undefined) continue
      try {
        table.recheck(
          rule,
          { method: match.methods[0] ?? 'GET', host, target },
          (a, b) => !serversOf(a).isDisjointFrom(serversOf(b)),
        )
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error
        const other = routes[Number(error.facts.otherRoute)]?.id ?? 'another route'
        context.warn(['routes', Number(rule.id), 'rewrite'], {
          message: `${sample} goes up as ${target.path}, which the route ${other} guards better for the same app: it is refused`,
          hint: `let this route ask as much as ${other} does, or rewrite to paths that nothing guards`,
          atKey: true,
        })
        break
      }
    }
  }
}

function sampleHost({ hosts: [host] }: ReturnType<typeof compileMatch>, served = 'localhost'): string {
  if (host === undefined) return served.replace(/^\*/, 'sample').toLowerCase()
  return host.kind === 'exact' ? host.name : `sample.${host.name}`
}
