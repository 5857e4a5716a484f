import { GatewayError } from '../../errors.ts'
import { type Host, parseHost } from '../../http/host.ts'
import { readTarget } from '../../http/target.ts'
import { compileExpression } from '../../rules/expressions.ts'
import { compileRouteTable, type RouteTable } from '../../rules/route-table.ts'
import type { RoutedRule } from '../../rules/rule.ts'
import type { LoginConfig } from '../config.ts'
import type { Path } from '../path.ts'
import { resolveLogin } from '../resolution.ts'
import type { CheckContext } from './context.ts'
import { soundHosts, soundRules } from './reachability.ts'

/** A host that no file names, for requests to a file that serves any. */
const SOME_HOST = 'host.invalid'

/**
 * The login page: its address, and whether somebody who is not logged in gets to see it. If not, a browser is sent from
 * the page to itself until it gives up.
 */
export function checkLogin(context: CheckContext): void {
  const { file } = context
  checkUrl(context, ['login', 'url'], file.login.url)
  for (const [at, { login }] of file.routes.entries()) {
    if (login?.url !== undefined) checkUrl(context, ['routes', at, 'login', 'url'], login.url)
  }
  const rules = soundRules(context)
  if (rules.length < file.routes.length) return
  const table = compileRouteTable(rules, soundHosts(context))
  for (const rule of rules) {
    const at = Number(rule.id)
    const route = file.routes[at]
    if (route === undefined || !asksAnything(rule) || route.on_deny === 'status') continue
    if (['auth', 'require', 'allow', 'on_deny', 'login'].some((key) => context.isUnsure(['routes', at, key]))) continue
    const login = resolveLogin(file.login, route.login ?? {})
    const path = route.login?.url === undefined ? ['login', 'url'] : ['routes', at, 'login', 'url']
    if (context.isUnsure(path) || loginHost(login) === undefined) continue
    for (const host of hostsOf(rule, rules, file.hosts)) checkWay({ context, rules, table, login, host, path })
  }
}

function checkUrl(context: CheckContext, path: Path, url: string): void {
  if (context.isUnsure(path) || isLoginUrl(url)) return
  context.error(path, {
    message: `${context.quote(path, url)} is not the address of a login page`,
    hint: 'write a path such as /login, or https://login.example.com/, without "#" and without a password',
  })
}

function isLoginUrl(url: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there.
  if (/[\\#\x00-\x20\x7f]/.test(url)) return false
  if (url.startsWith('/')) return pathTarget(url) !== undefined
  const parsed = /^https?:\/\/[^/@]+(\/|\?|$)/i.test(url) ? URL.parse(url) : null
  return parsed !== null && parsed.username === '' && parsed.password === ''
}

function pathTarget(url: string, host: Host = { name: SOME_HOST, received: SOME_HOST }) {
  try {
    const target = readTarget(url, host)
    return target.ambiguous ? undefined : target
  } catch (error) {
    if (error instanceof GatewayError) return undefined
    throw error
  }
}

/** The host that a login is on: `''` for the own one, `undefined` if the URL is none. */
function loginHost({ url }: LoginConfig): string | undefined {
  if (url.startsWith('/')) return ''
  const parsed = URL.parse(url)
  return parsed === null ? undefined : parseHost(parsed.host)?.name
}

/** One host for each way in which a request can come to the route. */
function hostsOf(rule: RoutedRule, rules: readonly RoutedRule[], served: readonly string[]): string[] {
  if (rule.match.hosts.length > 0) return rule.match.hosts.map(sample)
  const named = [...served, ...rules.flatMap(({ match }) => match.hosts)].map(sample)
  return [...new Set(served.length > 0 ? named : [...named, SOME_HOST])]
}

function sample(host: string): string {
  return host.toLowerCase().replace(/^\*/, 'any')
}

interface Way {
  readonly context: CheckContext
  readonly rules: readonly RoutedRule[]
  readonly table: RouteTable<RoutedRule>
  readonly login: LoginConfig
  readonly host: string
  readonly path: Path
}

function checkWay({ context, rules, table, login, host, path }: Way): void {
  const loginOn = loginHost(login) || host
  // An absolute address is ours only if the file names its host; else it is somebody else's page.
  if (loginOn !== host && !rules.some(({ match }) => match.hosts.map(sample).includes(loginOn))) return
  const url = login.url.startsWith('/') ? login.url : (URL.parse(login.url)?.pathname ?? '/')
  const target = pathTarget(url, { name: loginOn, received: loginOn })
  if (target === undefined) return
  const page = context.isWritten(path) ? path : undefined
  try {
    const rule = table.select({ method: 'GET', host: loginOn, target })
    refuseIfClosed(context, rule, { url, page: page ?? ['routes', Number(rule.id), 'match'] })
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    if (error.code === 'ERR_HOST_UNKNOWN') return
    context.warn(page ?? ['login'], {
      message: `nobody gets to see the login page ${url}: ${error.message}`,
      hint: `add a route for it: { id: login, match: { path: [${url.split('?')[0]}] }, upstream: …, auth: public }`,
    })
  }
}

function refuseIfClosed(context: CheckContext, rule: RoutedRule, { url, page }: { url: string; page: Path }): void {
  const { access } = rule
  const id = context.file.routes[Number(rule.id)]?.id ?? rule.id
  const isClosed = access.auth === 'required' || access.require.length > 0
  if (!isClosed && !refusesGuests(access.allow, url)) return
  const remark = {
    message: `the login page ${url} is on the route ${id}, which lets nobody in who is not logged in`,
    hint: `put a route with auth: public for ${url.split('?')[0]} before it, or let login.url lead elsewhere`,
  }
  // An expression may look at more than a session; and who only observes, sends nobody to a login yet.
  if (isClosed && access.mode === 'enforce') context.error(page, remark)
  else context.warn(page, remark)
}

function refusesGuests(allow: string | undefined, path: string): boolean {
  if (allow === undefined) return false
  try {
    const guest = { data: new Map(), method: 'GET', path, host: SOME_HOST, clientIp: '127.0.0.1', headers: [] }
    return !compileExpression(allow).evaluate(guest).holds
  } catch {
    // Told by its own check.
    return false
  }
}

function asksAnything({ access }: RoutedRule): boolean {
  return access.auth === 'required' || access.require.length > 0 || access.allow !== undefined
}
