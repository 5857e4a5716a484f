import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'

const checkout = resolve(import.meta.dirname, '../..')

/** Programs that some tests need beside Node. `npm run setup:servers` installs them where it may. */
export type ServerName =
  | 'apache'
  | 'chromium'
  | 'django'
  | 'django-caches'
  | 'django32'
  | 'haproxy'
  | 'docker-compose'
  | 'kubectl'
  | 'kubernetes-validate'
  | 'memcached'
  | 'nginx'
  | 'pgbouncer'
  | 'php'
  | 'php-fpm'
  | 'postgres'
  | 'prometheus'
  | 'promtool'
  | 'python'
  | 'redis'
  | 'strace'
  | 'systemd-analyze'
  | 'varnish'

export interface Requirement {
  /** Absolute path of the program; for `django` (5.2), `django32` and `django-caches` the Python that can import them. Empty when it is missing. */
  readonly path: string
  /** False when the program is there, else the line that says what is missing and why; made for `test(name, { skip })`. */
  readonly skip: string | false
}

interface Source {
  /** Names looked for on PATH and in the folders where distributions keep servers, best first. */
  readonly programs: readonly string[]
  /** Looked at before PATH: paths inside the checkout, or folders of several installed versions. */
  readonly places: () => readonly string[]
  /** Tells why a program that exists cannot be used; undefined when it can. */
  readonly flaw?: (path: string) => string | undefined
}

const venvPython = join(checkout, '.venv/bin/python')
const venvPython32 = join(checkout, '.venv-django32/bin/python')

const cacheClients = ['django_redis', 'pymemcache', 'redis']

const sources: Readonly<Record<ServerName, Source>> = {
  apache: { programs: ['apache2', 'httpd'], places: () => [] },
  chromium: {
    programs: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
    places: () => [process.env.SESSIONGATE_CHROMIUM ?? ''],
  },
  django: { programs: [], places: () => [venvPython], flaw: importFlaw('django', 'psycopg', ...cacheClients) },
  'django-caches': { programs: [], places: () => [venvPython], flaw: importFlaw('django', ...cacheClients) },
  django32: { programs: [], places: () => [venvPython32], flaw: importFlaw('django', 'psycopg2', ...cacheClients) },
  haproxy: { programs: ['haproxy'], places: () => [] },
  'docker-compose': { programs: ['docker-compose'], places: () => [] },
  kubectl: { programs: ['kubectl'], places: () => [] },
  'kubernetes-validate': { programs: [], places: () => [join(checkout, '.venv-manifests/bin/kubernetes-validate')] },
  memcached: { programs: ['memcached'], places: () => [] },
  nginx: { programs: ['nginx'], places: () => [] },
  pgbouncer: { programs: ['pgbouncer'], places: () => [] },
  php: { programs: ['php'], places: () => [] },
  'php-fpm': { programs: ['php-fpm'], places: debianPhpFpms },
  postgres: { programs: ['postgres'], places: debianPostgresPrograms },
  prometheus: { programs: ['prometheus'], places: () => [] },
  promtool: { programs: ['promtool'], places: () => [] },
  python: { programs: ['python3'], places: () => [venvPython] },
  redis: { programs: ['redis-server'], places: () => [] },
  strace: { programs: ['strace'], places: () => [], flaw: straceFlaw },
  'systemd-analyze': { programs: ['systemd-analyze'], places: () => [] },
  varnish: { programs: ['varnishd'], places: () => [] },
}

/**
 * Where a program that a test needs is, or why the test is skipped. With `CI=true` a missing program is an error, so
 * that a run in which nothing was tested cannot pass for a green one.
 *
 * ```ts
 * const chromium = requireServer('chromium')
 * test('the browser keeps the cookie', { skip: chromium.skip }, async () => { … chromium.path … })
 * ```
 *
 * @throws {Error} with `CI=true`, when the program is missing or unusable.
 */
export function requireServer(name: ServerName, env: NodeJS.ProcessEnv = process.env): Requirement {
  const source = sources[name]
  const path = [...source.places(), ...onPath(source.programs, env)].find(isExecutable)
  const flaw = path === undefined ? 'it is not installed' : source.flaw?.(path)
  if (path !== undefined && flaw === undefined) return { path, skip: false }
  const line = `${name} is needed: ${flaw}; npm run setup:servers installs it where it may`
  if (env.CI === 'true') throw new Error(line)
  return { path: '', skip: line }
}

function onPath(programs: readonly string[], env: NodeJS.ProcessEnv): string[] {
  const folders = [...(env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'].filter(
    (folder) => folder !== '',
  )
  return programs.flatMap((program) => folders.map((folder) => join(folder, program)))
}

/** Debian keeps `postgres` off PATH, one folder per major version. */
function debianPostgresPrograms(): string[] {
  const root = '/usr/lib/postgresql'
  if (!existsSync(root)) return []
  const newestFirst = readdirSync(root).sort((a, b) => Number(b) - Number(a))
  return newestFirst.map((version) => join(root, version, 'bin/postgres'))
}

/** Debian's `php-fpm` has its version in its name. */
function debianPhpFpms(): string[] {
  const folder = '/usr/sbin'
  const versions = existsSync(folder) ? readdirSync(folder).filter((name) => /^php-fpm\d/.test(name)) : []
  return versions.sort((a, b) => Number(b.slice(7)) - Number(a.slice(7))).map((name) => join(folder, name))
}

/** Python's modules are looked for, not imported, which would take each test file half a second. */
function importFlaw(...modules: string[]): (python: string) => string | undefined {
  const look = 'import sys; from importlib.util import find_spec; print(*(m for m in sys.argv[1:] if not find_spec(m)))'
  return (python) => {
    try {
      const missing = execFileSync(python, ['-c', look, ...modules], { encoding: 'utf8', timeout: 20_000 }).trim()
      return missing === '' ? undefined : `${python} lacks ${missing.replaceAll(' ', ', ')}`
    } catch {
      return `${python} does not run`
    }
  }
}

/** In a container without the right to trace, strace is there and cannot follow anything. */
function straceFlaw(strace: string): string | undefined {
  try {
    execFileSync(strace, ['-f', '-e', 'inject=fsync:signal=SIGKILL:when=9', 'true'], {
      stdio: 'ignore',
      timeout: 20_000,
    })
    return undefined
  } catch {
    return `${strace} cannot trace here`
  }
}

function isExecutable(path: string): boolean {
  if (path === '') return false
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
