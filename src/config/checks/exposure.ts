import type { FileRoute } from '../schema/file.ts'
import type { CheckContext } from './context.ts'

/** What is open, softened or trusted by the operator’s choice: said at every start, so that nobody forgets it. */
export function warnOfExposure(context: CheckContext): void {
  warnOfTransport(context)
  warnOfHosts(context)
  const { mode, login } = context.file
  if (mode === 'observe') {
    context.warn(['mode'], {
      message: 'mode: observe lets every request pass, and only logs what enforce would have done',
      hint: 'write mode: enforce when the log is quiet',
    })
  }
  if (!login.guard) warnOfGuard(context, ['login', 'guard'])
  for (const [at, route] of context.file.routes.entries()) warnOfRoute(context, at, route)
}

function warnOfTransport(context: CheckContext): void {
  const { session, listen, trusted_proxies: trusted } = context.file
  if (session.cookie_secure === false) {
    context.warn(['session', 'cookie_secure'], {
      message: 'without Secure the session cookie travels in plain text whenever a link says http',
      hint: 'write cookie_secure: auto',
    })
  }
  if (!session.cookie_httponly) {
    context.warn(['session', 'cookie_httponly'], {
      message: 'without HttpOnly every script on a page can read the session cookie',
      hint: 'write cookie_httponly: true',
    })
  }
  const isPlain = listen.some(({ tls, redirect_to_https: redirect }) => tls === undefined && redirect === false)
  if (!isPlain || session.cookie_secure !== 'auto' || trusted.length > 0 || context.isUnsure(['trusted_proxies']))
    return
  context.warn(
    context.isWritten(['session', 'cookie_secure']) ? ['session', 'cookie_secure'] : ['listen', 0, 'address'],
    {
      message: 'plain http with cookie_secure: auto and no trusted proxy: the session cookie is never Secure',
      hint: 'name the proxy that ends TLS under trusted_proxies, give the listener tls, or write cookie_secure: true',
    },
  )
}

function warnOfHosts(context: CheckContext): void {
  const { hosts, routes } = context.file
  if (hosts.length > 0 || context.isUnsure(['hosts'])) return
  const open = routes.findIndex(
    (route, at) => route.match.host === undefined && !context.isUnsure(['routes', at, 'match']),
  )
  if (open === -1) return
  context.warn(context.isWritten(['hosts']) ? ['hosts'] : ['routes', open, 'match'], {
    message: 'no host is named: every Host header is served',
    hint: 'name the hosts under hosts',
  })
}

function warnOfRoute(context: CheckContext, at: number, route: FileRoute): void {
  const path = ['routes', at]
  const asks = route.auth === 'required' || route.require.length > 0 || route.allow !== undefined
  const isUnsure = ['auth', 'require', 'allow', 'session'].some((key) => context.isUnsure([...path, key]))
  if (!asks && !isUnsure) {
    const name = context.isUnsure([...path, 'id'])
      ? 'this route'
      : `the route ${context.quote([...path, 'id'], route.id)}`
    const reason = route.session === 'none' ? 'session: none' : `auth: ${route.auth}`
    context.warn([...path, 'id'], {
      message: `${name} is open to strangers (${reason})`,
      ...(route.auth === 'public' || route.session === 'none'
        ? {}
        : { hint: 'write auth: required, or auth: public if that is meant' }),
    })
  }
  if (route.mode === 'observe') {
    context.warn([...path, 'mode'], {
      message: 'mode: observe lets every request of this route pass, and only logs what enforce would have done',
      hint: 'write mode: enforce when the log is quiet',
    })
  }
  if (route.on_store_error === 'anonymous') {
    context.warn([...path, 'on_store_error'], {
      message: 'on_store_error: anonymous shows people as logged out whenever the store is down',
      hint: 'write on_store_error: unavailable',
    })
  }
  if (route.ambiguous_paths === 'allow') {
    context.warn([...path, 'ambiguous_paths'], {
      message: 'ambiguous_paths: allow hands on paths that the app may read otherwise than the rules do',
      hint: 'write ambiguous_paths: refuse unless the app needs encoded slashes',
    })
  }
  if (route.cors_preflight === 'allow') {
    context.warn([...path, 'cors_preflight'], {
      message: 'cors_preflight: allow hands OPTIONS requests of strangers to the app',
      hint: 'write cors_preflight: refuse unless pages of other origins use this route',
    })
  }
  if (route.method_overrides === 'keep') {
    context.warn([...path, 'method_overrides'], {
      message: 'method_overrides: keep lets a client give the app another method than the rules have seen',
      hint: 'write method_overrides: cut unless the app needs them',
    })
  }
  if (route.login?.guard === false) warnOfGuard(context, [...path, 'login', 'guard'])
}

function warnOfGuard(context: CheckContext, path: (string | number)[]): void {
  context.warn(path, {
    message: 'guard: false leaves it to the login page to check where next leads',
    hint: 'write guard: true unless the page does that itself',
  })
}
