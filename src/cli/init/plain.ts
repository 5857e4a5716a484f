import { parseDatabaseUrl } from '../../config/database-url.ts'
import { parseUpstreamServer } from '../../config/upstream-server.ts'
import { type Draft, type DraftFile, type DraftParts, draftYaml, newKeyText } from './draft.ts'
import { fileReference, type Reference, type YamlEntry } from './yaml-text.ts'

/** The three answers, and where it all goes. */
export interface PlainAnswers {
  readonly app: string
  readonly login: string
  readonly store: StoreAnswer
  readonly hosts: readonly string[]
  readonly listen: string
  /** Path of the YAML, and of the folder for secrets, as the YAML is to name it. */
  readonly config: string
  readonly secrets: string
}

/** `url` may hold a password; `reference` is a `${…}` that the YAML takes in its place. */
export interface StoreAnswer {
  readonly kind: 'sqlite' | 'redis' | 'postgres'
  readonly url: string
  readonly reference?: string
}

/** The server of an app, or undefined for what is none. A bare `host:port` is http. */
export function parseAppAddress(text: string): string | undefined {
  const address = /^[\w.-]+:\d+\/?$/.test(text) ? `http://${text}` : text
  return parseUpstreamServer(address, process.cwd())?.origin
}

/** A path, or an address elsewhere; undefined for anything else. */
export function parseLoginPage(text: string): string | undefined {
  if (/^\/(?![/\\])[!-~]*$/.test(text) && !/[\\#]/.test(text)) return text
  return /^https?:\/\/[^/?#@\s]+(?:[/?]|$)/i.test(text) ? URL.parse(text)?.href : undefined
}

/** `sqlite`, `redis`, `postgres`, or an address of one; undefined for anything else. */
export function parseStore(text: string): StoreAnswer | undefined {
  if (text === 'sqlite') return { kind: 'sqlite', url: 'sqlite:./var/sessiongate.sqlite3' }
  if (text === 'redis') return { kind: 'redis', url: 'redis://127.0.0.1:6379/0' }
  if (/^(?:rediss?|unix):\/\//i.test(text)) return { kind: 'redis', url: text }
  const database = parseDatabaseUrl(text, process.cwd())
  if (database.kind === 'flaw') return undefined
  return { kind: database.kind, url: text }
}

/** A configuration for an app that gives its sessions to the gateway. */
export function draftForApp(answers: PlainAnswers): Draft {
  const { store, config, secrets } = answers
  const isShared = store.kind !== 'sqlite'
  const keys: DraftFile[] = isShared
    ? ['secret-key', 'signing-key'].map((name) => ({ kind: 'key', path: `${secrets}/${name}`, text: newKeyText() }))
    : []
  const { value: url, files } = urlValue(answers)
  const parts: DraftParts = {
    origin: [
      'Made by sessiongate init. Every key is explained in docs/configuration.md; what is left out has its default.',
    ],
    listen: answers.listen,
    hosts: answers.hosts,
    session: [
      ...(store.kind === 'redis' ? ([['engine', 'cache']] satisfies YamlEntry[]) : []),
      ...(isShared
        ? ([['secret_key', fileReference(`${secrets}/secret-key`), 'the same on all machines']] satisfies YamlEntry[])
        : []),
      ['cookie_age', '14d', 'renewed whenever the session changes'],
      ['auth_key', 'userInfo', 'somebody is logged in when this key of the session is set'],
      ['user_id', 'userInfo.id', 'whose it is: another user gets another session key'],
    ],
    database: databaseEntries(store, url),
    cache:
      store.kind === 'redis'
        ? [
            ['backend', 'redis'],
            ['url', url],
            ['serializer', 'json'],
          ]
        : [],
    signingKey: isShared ? `${secrets}/signing-key` : undefined,
    loginUrl: answers.login,
    upstream: {
      name: 'app',
      server: answers.app,
      lines: [
        '# The app logs in by answering with X-Session-Set: {"userInfo":{"id":7}}; "*" is every key that does not begin',
        '# with "_". Without this line it may write nothing; to be strict, name the keys: [userInfo, cart].',
        'writeback: { allow: ["*"] }',
      ],
    },
    staticPaths: ['/static/*', '/favicon.ico'],
    openPaths: [],
    userHeader: ['X-User-Id', 'userInfo.id'],
  }
  return { files: [...keys, ...files, { kind: 'yaml', path: config, text: draftYaml(parts) }], notes: [] }
}

function databaseEntries({ kind }: StoreAnswer, url: string | Reference): YamlEntry[] {
  if (kind === 'redis') return []
  if (kind === 'sqlite') return [['url', url, 'made at the first start']]
  return [
    ['url', url],
    ['create', true, 'the table, if it is not there yet'],
  ]
}

/** A password goes into a file of its own. */
function urlValue({ store, secrets }: PlainAnswers): { value: string | Reference; files: DraftFile[] } {
  if (store.reference !== undefined) return { value: { reference: store.reference }, files: [] }
  if (!hasPassword(store.url)) return { value: store.url, files: [] }
  const path = `${secrets}/store-url`
  return { value: fileReference(path), files: [{ kind: 'secret', path, text: `${store.url}\n` }] }
}

/** True for an address with a password in it. */
export function hasPassword(url: string): boolean {
  return /^[a-z]+:\/\/[^/?#]*:[^/?#]*@/i.test(url) || /[?&][a-z_]*pass/i.test(url)
}
