import { printable } from '../../config/excerpt.ts'
import { CommandError } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import type { DjangoSettings } from './django-settings.ts'
import { cacheDraft, databaseDraft } from './django-stores.ts'
import { bothSpellings, type Draft, type DraftFile, type DraftParts, draftYaml, newKeyText } from './draft.ts'
import { fileReference, type YamlEntry } from './yaml-text.ts'

export interface DjangoAnswers {
  readonly settings: DjangoSettings
  /** The project's folder, absolute. */
  readonly folder: string
  /** Where Django listens. */
  readonly app: string
  /** Other hosts than ALLOWED_HOSTS; none: those. */
  readonly hosts: readonly string[]
  readonly listen: string
  /** Another login page than LOGIN_URL. */
  readonly login: string | undefined
  readonly config: string
  readonly secrets: string
}

/**
 * A configuration that shares the sessions of a project.
 *
 * @throws {CommandError} with everything of the project that the gateway cannot share.
 */
export function draftForDjango(answers: DjangoAnswers): Draft {
  const { settings, secrets, config } = answers
  const { base } = settings.sessionClass
  const database =
    base === 'db' || base === 'cached_db' ? databaseDraft(settings.database, settings.useTz, answers) : undefined
  const cache =
    base === 'cache' || base === 'cached_db' ? cacheDraft(settings.cache, settings.cacheAlias, answers) : undefined
  const stores = [database, cache].filter((store) => store !== undefined)
  refuse([...obstaclesOf(settings), ...stores.flatMap(({ obstacle }) => obstacle ?? [])])
  const isShared = base === 'signed_cookies' || stores.some((store) => store.isShared)
  const login = loginOf(answers)
  const keys = keyFiles(settings, secrets)
  const signing: DraftFile = { kind: 'key', path: `${secrets}/signing-key`, text: newKeyText() }
  const parts: DraftParts = {
    origin: [
      printable(`Made by sessiongate init from ${settings.module || 'the settings'} (Django ${settings.django}).`),
      'Gateway and project share the sessions: whoever is logged in stays logged in. docs/in-front-of-django.md',
    ],
    listen: answers.listen,
    hosts: hostsOf(answers),
    session: sessionEntries(settings, keys),
    database: database?.entries ?? [],
    cache: cache?.entries ?? [],
    signingKey: isShared ? signing.path : undefined,
    loginUrl: login.url,
    upstream: {
      name: 'django',
      server: answers.app,
      lines: [
        '# Django reads and writes the same sessions itself, so the cookie goes up to it and its own comes down.',
        'session_cookie: pass',
        `include: [${authKeyOf(settings)}]${settings.hasAuth ? '  # names with "_" are not handed on by default' : ''}`,
      ],
    },
    staticPaths: settings.staticUrl?.startsWith('/') && settings.staticUrl !== '/' ? [`${settings.staticUrl}*`] : [],
    openPaths: openPathsOf(settings),
    userHeader: ['X-User-Id', settings.hasAuth ? '_auth_user_id' : 'userInfo.id'],
  }
  return {
    files: [
      ...keys,
      ...stores.flatMap(({ files }) => files),
      ...(isShared ? [signing] : []),
      { kind: 'yaml', path: config, text: draftYaml(parts) },
    ],
    notes: [...stores.flatMap(({ notes }) => notes), ...login.notes, ...notesOn(settings, answers)],
  }
}

function refuse(obstacles: readonly string[]): void {
  if (obstacles.length === 0) return
  throw new CommandError(
    exitCodes.failed,
    `this project’s sessions cannot be shared:\n  ${obstacles.map(printable).join('\n  ')}`,
  )
}

function obstaclesOf({ sessionClass, engine, serializer }: DjangoSettings): string[] {
  const { base, table, keyPrefix } = sessionClass
  if (base === null) {
    return [`SESSION_ENGINE is ${engine}, which is none of Django’s own: db, cache, cached_db, file, signed_cookies`]
  }
  const found: string[] = []
  if (base !== 'cache' && !/\.JSONSerializer$/.test(serializer)) {
    found.push(`SESSION_SERIALIZER is ${serializer}, and the gateway reads JSON: take Django’s default`)
  }
  if (table !== undefined && table !== 'django_session') {
    found.push(`the sessions are in the table ${table}, and the gateway reads django_session`)
  }
  if (keyPrefix !== undefined && keyPrefix !== `django.contrib.sessions.${base}`) {
    found.push(`the session class has a cache_key_prefix of its own (${keyPrefix})`)
  }
  return found
}

function keyFiles({ secretKey, fallbacks }: DjangoSettings, secrets: string): DraftFile[] {
  const file = (name: string, text: string): DraftFile => ({
    kind: 'secret',
    path: `${secrets}/${name}`,
    text: `${text}\n`,
  })
  return [
    file('django-secret-key', secretKey),
    ...fallbacks.map((text, at) => file(`django-secret-key-fallback-${at + 1}`, text)),
  ]
}

function authKeyOf({ hasAuth }: DjangoSettings): string {
  return hasAuth ? '_auth_user_id' : 'userInfo'
}

/** What is as by default is left out, but for what one looks for first. */
function sessionEntries(settings: DjangoSettings, [key, ...fallbacks]: readonly DraftFile[]): YamlEntry[] {
  const { cookie, sessionClass } = settings
  const isAuth = settings.hasAuth
  const unless = <T extends YamlEntry[1]>(standard: T, entry: readonly [string, T, string?]): YamlEntry[] =>
    entry[1] === standard ? [] : [entry]
  const older = fallbacks.map(({ path }) => fileReference(path).reference)
  return [
    ['engine', sessionClass.base ?? 'db', 'SESSION_ENGINE'],
    ...(key === undefined ? [] : [['secret_key', fileReference(key.path), 'SECRET_KEY'] as const]),
    ...(older.length === 0 ? [] : [['secret_key_fallbacks', { references: older }, 'SECRET_KEY_FALLBACKS'] as const]),
    ...unless('SessionStore', ['salt_class', sessionClass.saltClass, 'the name of the project’s own session class']),
    ...(isAuth
      ? [
          ['auth_key', '_auth_user_id', 'what django.contrib.auth writes at a login'] as const,
          ['user_id', '_auth_user_id'] as const,
        ]
      : [['auth_key', 'userInfo', 'what the project’s login writes into request.session: correct it'] as const]),
    ...(sessionClass.base === 'file' && settings.filePath !== null
      ? [['file_path', settings.filePath, 'SESSION_FILE_PATH'] as const]
      : []),
    ['cookie_name', cookie.name, 'SESSION_COOKIE_NAME'],
    ['cookie_age', cookie.age, 'SESSION_COOKIE_AGE, in seconds'],
    ...unless('/', ['cookie_path', cookie.path, 'SESSION_COOKIE_PATH']),
    ...(cookie.domain ? [['cookie_domain', cookie.domain, 'SESSION_COOKIE_DOMAIN'] as const] : []),
    ...(cookie.secure ? [['cookie_secure', true, 'SESSION_COOKIE_SECURE'] as const] : []),
    ...unless(true, ['cookie_httponly', cookie.httponly, 'SESSION_COOKIE_HTTPONLY']),
    ...unless<string | false>('Lax', ['cookie_samesite', cookie.samesite, 'SESSION_COOKIE_SAMESITE']),
    ...unless(false, ['save_every_request', settings.saveEveryRequest, 'SESSION_SAVE_EVERY_REQUEST']),
    ...unless(false, ['expire_at_browser_close', settings.expireAtBrowserClose, 'SESSION_EXPIRE_AT_BROWSER_CLOSE']),
    ...(isOlderThan41(settings.django)
      ? [['expiry_dates', 'seconds', 'as Django before 4.1 reads them'] as const]
      : []),
  ]
}

function isOlderThan41(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < 4 || (major === 4 && minor < 1)
}

const LOCAL_HOSTS = ['localhost', '127.0.0.1']

/** `.example.com` is the host and everything below it, of which we serve one label. */
function hostsOf({ hosts, settings }: DjangoAnswers): string[] {
  if (hosts.length > 0) return [...hosts]
  const named = settings.allowedHosts.filter((host) => host !== '*' && !host.startsWith('['))
  const served = named.flatMap((host) => (host.startsWith('.') ? [host.slice(1), `*${host}`] : [host]))
  return served.length > 0 ? [...new Set(served)] : LOCAL_HOSTS
}

/** A stock project has no page at its LOGIN_URL, but an admin with one. */
function loginOf({ login, settings }: DjangoAnswers): { url: string; notes: string[] } {
  const { loginUrl, loginIsThere, adminLogin } = settings
  if (login !== undefined) return { url: login, notes: [] }
  if (loginIsThere !== false) return { url: loginUrl, notes: [] }
  if (adminLogin === null)
    return { url: loginUrl, notes: [`no page of the project is at LOGIN_URL, ${loginUrl}: name one with --login`] }
  const note = `no page of the project is at LOGIN_URL, ${loginUrl}: the login is that of the admin, ${adminLogin}`
  return { url: adminLogin, notes: [note] }
}

/** In both spellings, as apps take them for one; the page for a token takes any. */
function openPathsOf({ openPaths }: DjangoSettings): string[] {
  return openPaths.flatMap((path) => {
    const open = path.replace(/uid\/token\/?$/, '*')
    return open === path ? bothSpellings(path) : [open]
  })
}

function notesOn({ allowedHosts, knowsHttps, hasAuth }: DjangoSettings, { hosts, app }: DjangoAnswers): string[] {
  return [
    ...(allowedHosts.includes('*') && hosts.length === 0
      ? ['ALLOWED_HOSTS is "*": under hosts stand localhost and 127.0.0.1, add the public names']
      : []),
    ...(hasAuth ? [] : ['django.contrib.auth is not installed: under auth_key stands userInfo, correct it']),
    ...(knowsHttps
      ? []
      : ['with https in front, settings.py needs SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")']),
    `nobody but the gateway should reach ${app}`,
  ]
}
