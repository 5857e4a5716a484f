import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type AppHandler, startApp } from '../support/app.ts'
import { createJarBrowser, type JarBrowser } from '../support/browser-jar.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'

export const SECRET_KEY = 'a-secret-key-of-more-than-32-bytes-0123456789'

export type StageEngine = 'sqlite' | 'file' | 'memory' | 'signed_cookies'

/** What the app is told of a session. */
export interface Told {
  readonly auth: boolean
  readonly sid?: string
  readonly ses: Readonly<Record<string, unknown>>
}

/** A gateway on one engine, with an app behind it that answers with the header lines which the request's `Say` asks for. */
export interface EngineStage extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly browser: JarBrowser
  /** Sends the lines as commands of the app's answer, with the browser's cookies; its Set-Cookie lines. */
  say(...lines: string[]): Promise<readonly string[]>
  /** What the app is told of the browser. */
  told(): Promise<Told>
  /** What the app is told of whoever sends this Cookie header, and answers with these lines. */
  toldOf(cookie: string, ...lines: string[]): Promise<Told & { readonly setCookies: readonly string[] }>
  /**
   * Everything kept on the server's disk: a session's key, and what stands under it, byte for byte. Empty for the
   * engines that keep nothing there.
   */
  stored(): Map<string, StoredBytes>
  /** Puts something else in the place of the text under that key. */
  overwrite(key: string, content: string | Uint8Array): void
}

export interface StoredBytes {
  readonly data: unknown
  /** `expire_date`, or the file's mode and modification time. */
  readonly date: unknown
}

const engineYaml: Readonly<Record<StageEngine, string>> = {
  sqlite: 'engine: db',
  file: 'engine: file\n  file_path: .',
  memory: 'engine: cache',
  signed_cookies: 'engine: signed_cookies',
}

const obedient: AppHandler = ({ values, claims }) => ({
  status: Number(values('Status')[0] ?? 200),
  headers: JSON.parse(values('Say')[0] ?? '[]') as string[],
  body: JSON.stringify(claims()),
})

/** @param session Further lines under `session`. */
export async function openEngineStage(engine: StageEngine, ...session: string[]): Promise<EngineStage> {
  await using stack = new AsyncDisposableStack()
  const app = stack.use(await startApp(obedient))
  const gateway = stack.use(
    await startGateway({
      config: `
session:
  ${[engineYaml[engine], `secret_key: ${SECRET_KEY}`, ...session].join('\n  ')}
caches: { default: { backend: memory } }
keys: [{ id: test, secret: "0123456789abcdef0123456789abcdef" }]
logging: { access: false }
upstreams: { app: { servers: ["${app.origin}"], writeback: { allow: ["*"] } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`,
    }),
  )
  const browser = createJarBrowser(gateway.url)
  const closing = stack.move()
  return {
    gateway,
    browser,
    async say(...lines) {
      const answer = await browser.fetch('/', { headers: { Say: sayHeader(...lines) } })
      assert.equal(answer.status, 200, answer.text)
      return answer.setCookies
    },
    async told() {
      return JSON.parse((await browser.fetch('/')).text) as Told
    },
    async toldOf(cookie, ...lines) {
      const response = await fetch(gateway.url, { headers: { Cookie: cookie, Say: sayHeader(...lines) } })
      assert.equal(response.status, 200)
      return { ...((await response.json()) as Told), setCookies: response.headers.getSetCookie() }
    },
    stored: () => (engine === 'sqlite' ? rowsIn(gateway.folder) : filesIn(gateway.folder)),
    overwrite: (key, content) =>
      engine === 'sqlite' ? overwriteRow(gateway.folder, key, content) : overwriteFile(gateway.folder, key, content),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** What `Say` carries: header lines of the app's answer, flat. */
function sayHeader(...lines: string[]): string {
  return JSON.stringify(lines.flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
}

const DATABASE = 'var/sessiongate.sqlite3'
const FILE_PREFIX = 'sessionid'

function rowsIn(folder: string): Map<string, StoredBytes> {
  using database = new DatabaseSync(join(folder, DATABASE), { readOnly: true })
  const rows = database.prepare(
    'SELECT session_key AS key, session_data AS data, expire_date AS date FROM django_session',
  )
  return new Map(rows.all().map(({ key, data, date }) => [String(key), { data, date }]))
}

function filesIn(folder: string): Map<string, StoredBytes> {
  const names = readdirSync(folder).filter((name) => name.startsWith(FILE_PREFIX))
  return new Map(
    names.map((name) => {
      const { mode, mtimeMs } = statSync(join(folder, name))
      const data = readFileSync(join(folder, name), 'latin1')
      return [name.slice(FILE_PREFIX.length), { data, date: `${mode.toString(8)} ${mtimeMs}` }]
    }),
  )
}

function overwriteRow(folder: string, key: string, content: string | Uint8Array): void {
  using database = new DatabaseSync(join(folder, DATABASE), { timeout: 5000 })
  const update = database.prepare('UPDATE django_session SET session_data = ? WHERE session_key = ?')
  assert.equal(update.run(content, key).changes, 1)
}

function overwriteFile(folder: string, key: string, content: string | Uint8Array): void {
  writeFileSync(join(folder, FILE_PREFIX + key), content, { flag: 'r+' })
  truncateSync(join(folder, FILE_PREFIX + key), content.length)
}
