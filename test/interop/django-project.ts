import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { within } from '../support/deadline.ts'
import { djangoCache, type SharedCache } from './shared-caches.ts'

/** What a batch of a thousand sessions may take on a busy machine, in milliseconds. */
const COMMAND_DEADLINE_MS = 120_000

export type DjangoEngine = 'db' | 'cache' | 'cached_db' | 'file' | 'signed_cookies'

export interface DjangoSettings {
  readonly engine: DjangoEngine
  /** URL of a database of PostgreSQL; default a SQLite file in the folder. */
  readonly postgres?: string
  /** What `cache` and `cached_db` stand on. */
  readonly cache?: SharedCache
  /** Default {@link SECRET_KEY}. */
  readonly secretKey?: string
  readonly fallbacks?: readonly string[]
  /** USE_TZ, default true. */
  readonly useTz?: boolean
  /** TIME_ZONE, default UTC. */
  readonly timeZone?: string
  /** SESSION_COOKIE_AGE in seconds, default Django's 14 days. */
  readonly cookieAge?: number
  /** SQLite's `transaction_mode`; default none, which is Django's. */
  readonly transactionMode?: 'IMMEDIATE'
  /** A session class with a name of its own: `django_shop_store.py`. */
  readonly storeClass?: 'ShopStore'
  /** A folder of another project; default a new one, removed afterwards. */
  readonly folder?: string
}

export const SECRET_KEY = 'test-secret-key-0123456789'

/** What Django says of a session with this data, without a store. */
export interface DjangoFacts {
  /** The data as Python writes it: `json.dumps(data, separators=(',', ':'))`. */
  readonly json: string
  /** `encode()`: what Django would store; for signed_cookies the cookie's value. */
  readonly text: string
  /** `get_expiry_age()`. */
  readonly age: number
  /** `get_expire_at_browser_close()`. */
  readonly browserClose: boolean
  /** `get_expiry_date()` as Django's SQLite backend stores it. */
  readonly expireDate: string
  /** What its middleware sends as Set-Cookie, with `KEY` for the key. */
  readonly cookie: string
  /** `bool(session.get("userInfo"))`. */
  readonly loggedIn: boolean
}

/**
 * Something in a store, read past Django. `expireDate` is null where the store has no such column; `text` is empty where
 * a cache has the value.
 */
export interface DjangoRow {
  readonly text: string
  readonly expireDate: string | null
}

/** A session in the cache of `cache` or `cached_db`, as Django finds it there. */
export interface DjangoCached {
  readonly json: string
  /** When the cache's own server drops it, in milliseconds. */
  readonly endsAt: number
}

export interface DjangoWritten {
  readonly key: string
  readonly json: string
  /** Null where a cache does not even take what is over. */
  readonly stored: DjangoRow | null
  readonly cached: DjangoCached | null
  /** Between which two moments it was saved. */
  readonly span: readonly [fromMs: number, toMs: number]
}

/** The session under a key as Django loads it. Not found: none there, expired, or unreadable. */
export interface DjangoRead {
  readonly found: boolean
  /** The data that Django has in its hands then. */
  readonly json: string
  /** `source`: the JSON inside the stored text as its bytes are, null where there is none, or Django refuses the signature. */
  readonly stored: (DjangoRow & { readonly source: string | null }) | null
  /** Before Django read it, which may have put it there. */
  readonly cached: DjangoCached | null
}

/** A change of members in a JSON text: Python's own dict does it. */
export interface SourceChange {
  readonly source: string
  readonly set?: readonly (readonly [name: string, text: string])[]
  readonly delete?: readonly string[]
}

type Step = readonly [method: string, ...arguments: (string | number | null)[]]

/** A Django project in a process of its own: `django_project.py`. */
export interface DjangoProject extends AsyncDisposable {
  readonly folder: string
  /** Its SQLite file, there after `migrate`. */
  readonly database: string
  migrate(): Promise<void>
  facts(sources: readonly string[], at?: number): Promise<DjangoFacts[]>
  /** What an assertion may carry of each: no keys with `_` in front, null for NaN and the infinities. */
  fitting(sources: readonly string[]): Promise<string[]>
  changed(steps: readonly SourceChange[]): Promise<string[]>
  /** New sessions with this data. `at`: where Django's clock stands meanwhile, in milliseconds. */
  write(sources: readonly string[], at?: number): Promise<DjangoWritten[]>
  read(keys: readonly string[], at?: number): Promise<DjangoRead[]>
  /** Calls methods of one session (`set` takes JSON), saves it, and gives the key that it has then. */
  act(key: string | undefined, steps: readonly Step[], at?: number): Promise<string | null>
  /** Sets `d3`, `d4` … one by one, each as a request does: load, set, save. */
  hammer(key: string, range: readonly [from: number, to: number], isAtomic: boolean): Promise<void>
  /** The session files: name, mode, modification time in milliseconds. */
  listing(): Promise<[name: string, mode: number, modifiedAt: number][]>
  /** The keys of all rows, sorted. */
  keys(): Promise<string[]>
  clearSessions(at?: number): Promise<void>
  /** Starts to serve `django_site.py`, once; its origin. */
  site(): Promise<string>
  /** Resolves when a visitor of `/hold` has read the session and waits. */
  held(): Promise<void>
  /** Lets one of them go on, to save what it holds. */
  release(): Promise<void>
  createUser(name: string): Promise<number>
  pragma(name: string): Promise<unknown>
  version(): Promise<string>
}

/** Starts the project with the Python that can import Django. */
export async function startDjango(python: string, settings: DjangoSettings): Promise<DjangoProject> {
  const folder = settings.folder ?? (await mkdtemp(join(tmpdir(), 'sessiongate-django-')))
  const project = {
    folder,
    engine: settings.engine,
    postgres: settings.postgres === undefined ? null : postgresPlace(settings.postgres),
    cache: settings.cache === undefined ? null : djangoCache(settings.cache),
    secret_key: settings.secretKey ?? SECRET_KEY,
    fallbacks: settings.fallbacks ?? [],
    use_tz: settings.useTz ?? true,
    time_zone: settings.timeZone ?? 'UTC',
    cookie_age: settings.cookieAge ?? 1_209_600,
    transaction_mode: settings.transactionMode ?? null,
    store_class: settings.storeClass ?? null,
  }
  const script = join(import.meta.dirname, 'django_project.py')
  const child = spawn(python, [script], {
    env: { PATH: process.env.PATH, PROJECT: JSON.stringify(project), PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const call = commandLine(child)
  return {
    folder,
    database: join(folder, 'db.sqlite3'),
    async migrate() {
      await call('migrate', {})
    },
    facts: (sources, at) => call('facts', { sources }, at),
    fitting: (sources) => call('fitting', { sources }),
    changed: (steps) => call('changed', { steps }),
    write: (sources, at) => call('write', { sources }, at),
    read: (keys, at) => call('read', { keys }, at),
    act: (key, steps, at) => call('act', { key: key ?? null, steps }, at),
    async hammer(key, range, isAtomic) {
      await call('hammer', { key, range, is_atomic: isAtomic })
    },
    listing: () => call('listing', {}),
    keys: () => call('keys', {}),
    async clearSessions(at) {
      await call('clearsessions', {}, at)
    },
    site: () => call('site', {}),
    async held() {
      if (!(await call<boolean>('held', {}))) throw new Error('nobody came to /hold')
    },
    async release() {
      await call('release', {})
    },
    createUser: (name) => call('user', { name }),
    pragma: (name) => call('pragma', { name }),
    version: () => call('version', {}),
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await within('Django to end', exited).catch(async () => {
        child.kill('SIGKILL')
        await exited
      })
      if (settings.folder === undefined) await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What `DATABASES` names one by one. */
function postgresPlace(url: string): object {
  const { hostname, port, username, pathname } = new URL(url)
  return { HOST: hostname, PORT: port, USER: username, NAME: pathname.slice(1) }
}

/** Sends commands to a process that answers each with a line. Answers come in the order of the commands. */
export function commandLine(child: ChildProcess): <T>(command: string, arguments_: object, at?: number) => Promise<T> {
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw new TypeError('Django runs without pipes')
  const waiting: PromiseWithResolvers<string>[] = []
  // Writing to a process that has ended is told by its end, below.
  stdin.on('error', () => {})
  createInterface({ input: stdout }).on('line', (line) => waiting.shift()?.resolve(line))
  child.on('exit', (code) => {
    for (const { reject } of waiting.splice(0)) reject(new Error(`Django ended with ${code}`))
  })
  return async function call<T>(command: string, arguments_: object, at?: number): Promise<T> {
    const answer = Promise.withResolvers<string>()
    waiting.push(answer)
    stdin.write(`${JSON.stringify([command, arguments_, at ?? null])}\n`)
    const line = await within(`Django to ${command}`, answer.promise, COMMAND_DEADLINE_MS)
    const { value, error } = JSON.parse(line) as { value: T; error?: string }
    if (error !== undefined) throw new Error(`Django failed to ${command}: ${error}`)
    return value
  }
}
