import { randomBytes } from 'node:crypto'
import { fileReference, type YamlEntry, yamlSection, yamlValue } from './yaml-text.ts'

/** A file that is to be written. `secret`: for the gateway's user alone; `key`: the same, and one that is there is kept. */
export interface DraftFile {
  readonly kind: 'yaml' | 'secret' | 'key'
  readonly path: string
  readonly text: string
}

/** A first configuration, and what goes with it. */
export interface Draft {
  readonly files: readonly DraftFile[]
  /** What its operator should know, each a sentence without a full stop. Text of others in it is not escaped. */
  readonly notes: readonly string[]
}

/** What a first configuration is made of. */
export interface DraftParts {
  /** Comment lines at the top. */
  readonly origin: readonly string[]
  readonly listen: string
  readonly hosts: readonly string[]
  readonly session: readonly YamlEntry[]
  readonly database: readonly YamlEntry[]
  /** Of the cache called `default`. */
  readonly cache: readonly YamlEntry[]
  /** Path of the file with the signing key; undefined: the gateway makes its own. */
  readonly signingKey: string | undefined
  readonly loginUrl: string
  readonly upstream: { readonly name: string; readonly server: string; readonly lines: readonly string[] }
  /** Paths that are open to everybody and have no session; none: no such route. */
  readonly staticPaths: readonly string[]
  /** Pages that strangers must reach beside the login: their paths. */
  readonly openPaths: readonly string[]
  /** Header name to path in the session, for the app. */
  readonly userHeader: readonly [name: string, path: string]
}

/** The YAML of a first configuration, with a word on each part. */
export function draftYaml(parts: DraftParts): string {
  const { name, server, lines } = parts.upstream
  const sections = [
    `${parts.origin.map((line) => `# ${line}`).join('\n')}\n\nversion: 1\n`,
    `# Where browsers, or the proxy that ends TLS on this machine, connect.\nlisten:\n  - address: ${yamlValue(parts.listen)}\n`,
    '# That proxy says who the browser is and whether it came by https. Elsewhere than here: its address.\n' +
      'trusted_proxies: [127.0.0.1, "::1"]\n',
    `# The names under which it is served: any other is answered with 421.\nhosts: ${yamlValue(parts.hosts)}\n`,
    yamlSection('session', parts.session),
    yamlSection('database', parts.database),
    parts.cache.length === 0 ? '' : `caches:\n${indented(yamlSection('default', parts.cache))}`,
    parts.signingKey === undefined
      ? ''
      : '# What signs X-Session-Assertion. An app gets its own: sessiongate keys derive --upstream NAME\n' +
        `keys:\n  - { id: "1", secret: ${yamlValue(fileReference(parts.signingKey))} }\n`,
    `# Where somebody who is not logged in is sent, with ?next=… to come back.\nlogin: { url: ${yamlValue(parts.loginUrl)} }\n`,
    `upstreams:\n  ${name}:\n    servers: [${yamlValue(server)}]\n${lines.map((line) => `    ${line}\n`).join('')}`,
    routesText(parts),
    '# For the operator: /metrics, /livez and /readyz. Keep it off the internet.\nadmin:\n  listen: 127.0.0.1:9901\n',
  ]
  return sections.filter((text) => text !== '').join('\n')
}

function routesText({ staticPaths, openPaths, loginUrl, upstream: { name }, userHeader }: DraftParts): string {
  const login = loginUrl.startsWith('/') ? bothSpellings(loginUrl.replace(/[?#].*$/s, '')) : []
  const routes = ['# Who may do what. The first route that matches decides, so the special ones come first.', 'routes:']
  if (staticPaths.length > 0) {
    routes.push(
      '  # Files for everybody. No session is looked up for them.',
      `  - { id: static, match: { path: ${yamlValue(staticPaths)}, method: GET }, upstream: ${name}, session: none }`,
    )
  }
  if (login.length > 0) {
    routes.push(
      '  # Whoever is not logged in must be able to log in. Both spellings, because apps take them for one.',
      `  - { id: login, match: { path: ${yamlValue(login)} }, upstream: ${name}, auth: public }`,
    )
  }
  if (openPaths.length > 0) {
    routes.push(
      '  # What else one needs before one is logged in.',
      `  - { id: open, match: { path: ${yamlValue(openPaths)} }, upstream: ${name}, auth: public }`,
    )
  }
  const [header, path] = userHeader
  routes.push(
    '  # Everything else needs a login. Pages for everybody go into a route of their own, above this one.',
    '  - id: app',
    '    match: { path: "/*" }',
    `    upstream: ${name}`,
    '    auth: required',
    '    headers:',
    `      session: { ${header}: ${path} }`,
    '',
  )
  return routes.join('\n')
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, '  ')
}

/** `/login` and `/login/`. */
export function bothSpellings(path: string): string[] {
  const bare = path.replace(/\/+$/, '')
  return bare === '' ? ['/'] : [bare, `${bare}/`]
}

/** 48 random bytes, as `keys new` makes them. */
export function newKeyText(): string {
  return `${randomBytes(48).toString('base64url')}\n`
}
