import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { ExpiryRules } from '../../src/django/expiry.ts'
import { parseSessionData, type SessionData } from '../../src/django/json.ts'
import { createSessionCodec } from '../../src/django/session-data.ts'
import { createSessionKey } from '../../src/django/session-key.ts'
import { openSqliteSessions } from '../../src/sessions/databases/sqlite.ts'
import { createPublicId } from '../../src/sessions/public-id.ts'
import { type CommandResult, plainEnvironment, runCommand } from '../support/command.ts'

export const checkout = resolve(import.meta.dirname, '../..')
const main = join(checkout, 'src/main.ts')

/** What signs the sessions of such a folder: as the gateway would have made it. */
export const secretKey = 'k'.repeat(64)

/** A small file that is sound, with one warning: a login page is open to strangers. */
export const commandConfig = `version: 1
listen: [{ address: "127.0.0.1:0" }]
hosts: [app.example.com]
session: { cookie_secure: true }
admin: off
upstreams: { app: { servers: ["http://127.0.0.1:9"] } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: admin, match: { path: /admin/* }, upstream: app, auth: required, require: [userInfo.is_staff] }
  - id: app
    match: { path: /* }
    upstream: app
    auth: required
    headers: { session: { X-User-Name: userInfo.name } }
`

const expiryRules: ExpiryRules = { cookieAgeSeconds: 1_209_600, expireAtBrowserClose: false, dates: 'iso', useTz: true }

export interface StoredSession {
  readonly id: string
  readonly key: string
}

/** A folder as an operator has it: a configuration, `./var` beside it, and a shell in which `sessiongate` is a command. */
export interface CommandFolder extends AsyncDisposable {
  readonly path: string
  /** Runs a command line as a shell does, pipes and redirections included. */
  run(line: string, env?: Readonly<Record<string, string>>): Promise<CommandResult>
  write(name: string, text: string): Promise<void>
  /** Stores a session in `./var`, as the gateway would have at that time; default now. */
  store(json: string, at?: number): Promise<StoredSession>
}

/** @param config of `config/sessiongate.yaml`, the default of `--config` */
export async function openCommandFolder(config: string): Promise<CommandFolder> {
  const path = await mkdtemp(join(tmpdir(), 'sessiongate-command-'))
  const write = async (name: string, text: string): Promise<void> => {
    await mkdir(dirname(join(path, name)), { recursive: true, mode: 0o700 })
    await writeFile(join(path, name), text, { mode: 0o600 })
  }
  await write('config/sessiongate.yaml', config)
  await write('var/secret-key', `${secretKey}\n`)
  return {
    path,
    write,
    run(line, env = {}) {
      const script = `sessiongate() { "${process.execPath}" "${main}" "$@"; }\n${line}`
      return runCommand('sh', ['-c', script], { cwd: path, env: { ...plainEnvironment(), ...env } })
    },
    async store(json, at = Date.now()) {
      await using sessions = await openSqliteSessions({
        path: join(path, 'var/sessiongate.sqlite3'),
        create: 'ours',
        useTz: true,
        busyTimeoutMs: 5000,
        clock: () => at,
        codec: createSessionCodec({ secretKey }),
        expiryRules,
        newKey: () => createSessionKey(),
      })
      const key = await sessions.create(dataOf(json))
      return { key, id: createPublicId(secretKey)(key) }
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}

/** `session_data` as it stands in a row or in a file. */
export function encoded(json: string, at = Date.now()): string {
  return createSessionCodec({ secretKey }).encode(dataOf(json), at)
}

function dataOf(json: string): SessionData {
  const data = parseSessionData(json)
  if (data === undefined) throw new TypeError(`no session: ${json}`)
  return data
}
