import { parseCidr } from '../../http/addresses.ts'
import { parseHost } from '../../http/host.ts'
import {
  compileHostPattern,
  hostPatternProblem,
  isHostUnder,
  methodProblem,
  pathPatternProblem,
} from '../../rules/patterns.ts'
import type { Path } from '../path.ts'
import type { CheckContext } from './context.ts'

/** Hosts, paths, methods, networks and origins that no request can be meant by. */
export function checkPatterns(context: CheckContext): void {
  const { file } = context
  for (const [at, host] of file.hosts.entries()) checkHost(context, ['hosts', at], host)
  for (const [at, network] of file.trusted_proxies.entries()) checkNetwork(context, ['trusted_proxies', at], network)
  checkAllowedHosts(context, ['login', 'allowed_hosts'], file.login.allowed_hosts)
  for (const [at, route] of file.routes.entries()) {
    const path = ['routes', at]
    for (const [index, host] of (route.match.host ?? []).entries()) {
      const here = itemPath(context, [...path, 'match', 'host'], index)
      if (checkHost(context, here, host)) checkServed(context, here, host)
    }
    for (const [index, pattern] of (route.match.path ?? []).entries()) {
      refuse(
        context,
        itemPath(context, [...path, 'match', 'path'], index),
        'path',
        pattern,
        pathPatternProblem(pattern),
      )
    }
    for (const [index, method] of (route.match.method ?? []).entries()) {
      refuse(context, itemPath(context, [...path, 'match', 'method'], index), 'method', method, methodRefusal(method))
    }
    checkAllowedHosts(context, [...path, 'login', 'allowed_hosts'], route.login?.allowed_hosts ?? [])
    const origins = route.websocket === false ? [] : route.websocket.origins
    for (const [index, origin] of origins.entries())
      checkOrigin(context, [...path, 'websocket', 'origins', index], origin)
  }
}

/** `path: /a` and `path: [/a]` mean the same and stand in two places. */
function itemPath(context: CheckContext, path: Path, index: number): Path {
  return context.isWritten([...path, index]) ? [...path, index] : path
}

function refuse(context: CheckContext, path: Path, kind: string, text: string, problem: string | undefined): void {
  if (problem === undefined || context.isUnsure(path)) return
  context.error(path, { message: `no request can have the ${kind} ${context.quote(path, text)}`, hint: problem })
}

function methodRefusal(method: string): string | undefined {
  if (method === 'CONNECT' || method === 'TRACE') return `${method} is never forwarded`
  if (method !== method.toUpperCase()) return `methods are written in capitals: ${method.toUpperCase()}`
  return methodProblem(method)
}

function checkHost(context: CheckContext, path: Path, host: string): boolean {
  const problem = hostPatternProblem(host)
  refuse(context, path, 'host', host, problem)
  return problem === undefined
}

/** `hosts` is the whole list of what is served, so a route for another host waits for requests that are turned away. */
function checkServed(context: CheckContext, path: Path, host: string): void {
  const { hosts } = context.file
  if (
    hosts.length === 0 ||
    context.isUnsure(['hosts']) ||
    hosts.some((served) => hostPatternProblem(served) !== undefined)
  ) {
    return
  }
  const wanted = compileHostPattern(host)
  const isServed = hosts.map(compileHostPattern).some((served) => {
    if (wanted.kind === 'subdomain') return served.kind === 'subdomain' && served.name === wanted.name
    return isHostUnder(served, wanted.name)
  })
  if (isServed) return
  context.error(path, {
    message: `the host ${context.quote(path, host)} is not among the hosts that are served`,
    hint: 'add it to hosts at the top of the file',
  })
}

function checkNetwork(context: CheckContext, path: Path, network: string): void {
  const entry = parseCidr(network)
  if (entry === 'unix' || !('problem' in entry)) return
  context.error(path, {
    message: `${context.quote(path, network)} ${entry.problem}`,
    hint: 'write a CIDR such as 10.0.0.0/8 or fd00::/8, a single address, or the word unix',
  })
}

function checkAllowedHosts(context: CheckContext, path: Path, hosts: readonly string[]): void {
  for (const [index, host] of hosts.entries()) {
    const here = [...path, index]
    if (parseHost(host) !== undefined || context.isUnsure(here)) continue
    context.error(here, {
      message: `${context.quote(here, host)} is not a host`,
      hint: 'write the name alone, exactly and without "*": app.example.com, or app.example.com:8443',
    })
  }
}

function checkOrigin(context: CheckContext, path: Path, origin: string): void {
  const url = URL.parse(origin)
  if (context.isUnsure(path) || (url !== null && /^https?:$/.test(url.protocol) && url.origin === origin.toLowerCase()))
    return
  context.error(path, {
    message: `${context.quote(path, origin)} is not an origin`,
    hint: 'write scheme and host, such as https://app.example.com, without a final slash, and a port only if it is unusual',
  })
}
