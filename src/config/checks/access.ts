import { compileExpression, ExpressionError } from '../../rules/expressions.ts'
import { exceeds } from '../../writeback/permission.ts'
import { writebackRules } from '../resolution.ts'
import type { FileRoute } from '../schema/file.ts'
import type { CheckContext } from './context.ts'
import { checkReservedNames } from './upstreams.ts'

/** What a route asks of a session, and what it lets the app do with it, against what the route is. */
export function checkAccess(context: CheckContext): void {
  for (const [at, route] of context.file.routes.entries()) {
    checkRule(context, at, route)
    checkExpression(context, at, route.allow)
    checkWriteback(context, at, route)
    if (route.session === 'none') checkWithoutSession(context, at, route)
  }
}

function checkRule(context: CheckContext, at: number, route: FileRoute): void {
  if (route.auth !== 'public' || context.isUnsure(['routes', at, 'auth'])) return
  for (const key of ['require', 'allow'] as const) {
    if (route[key] === undefined || route[key].length === 0) continue
    context.error(['routes', at, key], {
      message: `${key} asks something, and auth: public says that nothing is asked`,
      hint: `remove ${key}, or write auth: optional`,
      atKey: true,
    })
  }
}

function checkExpression(context: CheckContext, at: number, allow: string | undefined): void {
  if (allow === undefined) return
  const path = ['routes', at, 'allow']
  try {
    compileExpression(allow)
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    // The compiler's sentence quotes the expression.
    const reason = context.quote(path, allow).startsWith('"') ? `: ${firstLine(error.message)}` : ''
    context.error(path, {
      message: `the expression cannot be used${reason}`,
      hint: `it is CEL, such as session.userInfo.role == "admin"; see character ${error.offset + 1}`,
    })
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}

function checkWriteback(context: CheckContext, at: number, route: FileRoute): void {
  const { writeback } = route
  const upstream = context.file.upstreams[route.upstream]
  if (writeback === undefined || upstream === undefined || context.isUnsure(['upstreams', route.upstream, 'writeback']))
    return
  checkReservedNames(context, ['routes', at, 'writeback', 'allow'], writeback.allow)
  for (const excess of exceeds(writebackRules(writeback), writebackRules(upstream.writeback))) {
    const [list = '', ...rest] = excess.split(': ')
    const name = rest.join(': ')
    const items: readonly string[] = list === 'allow' ? writeback.allow : (writeback.commands ?? [])
    const path = ['routes', at, 'writeback', list, items.indexOf(name)]
    context.error(path, {
      message: `a route only narrows writeback, and its upstream does not permit ${context.quote(path, name)}`,
      hint: `add it to writeback.${list} of the upstream, or remove it here`,
    })
  }
}

function checkWithoutSession(context: CheckContext, at: number, route: FileRoute): void {
  if (context.isUnsure(['routes', at, 'session'])) return
  if (route.auth === 'required' && !context.isUnsure(['routes', at, 'auth'])) {
    context.error(['routes', at, 'auth'], {
      message: 'auth: required cannot be met where session: none reads no session',
      hint: 'remove session: none, or write auth: public',
    })
  }
  if (route.require.length > 0) {
    context.error(['routes', at, 'require'], {
      message: 'require cannot be met where session: none reads no session',
      hint: 'remove session: none, or require',
      atKey: true,
    })
  }
  const useless: [string, boolean][] = [
    ['include', context.isWritten(['routes', at, 'include'])],
    ['writeback', route.writeback !== undefined],
    ['on_store_error', route.on_store_error === 'anonymous'],
  ]
  for (const [key, isThere] of useless) if (isThere) warnUseless(context, ['routes', at, key], key)
  if (Object.keys(route.headers.session).length > 0) {
    warnUseless(context, ['routes', at, 'headers', 'session'], 'headers.session')
  }
}

function warnUseless(context: CheckContext, path: (string | number)[], key: string): void {
  context.warn(path, {
    message: `${key} is without effect where session: none reads no session`,
    hint: `remove ${key}, or session: none`,
    atKey: true,
  })
}
