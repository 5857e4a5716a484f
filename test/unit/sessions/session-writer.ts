import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createSessionCodec } from '../../../src/django/session-data.ts'
import { createSessionKey } from '../../../src/django/session-key.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { openSqliteSessions } from '../../../src/sessions/databases/sqlite.ts'
import type { SessionEngine } from '../../../src/sessions/engine.ts'
import { createFileSessions } from '../../../src/sessions/engines/file.ts'

/** A store that a second process can open as well. */
export interface SharedStore {
  readonly kind: 'sqlite' | 'file'
  /** The database file, or the folder. */
  readonly path: string
}

/** What another process is to do: so many increments of `n`, or as many as it can until the session is gone. */
export interface WriterTask {
  readonly store: SharedStore
  readonly key: string
  readonly times: number
}

export interface WriterReport {
  readonly stored: number
  /** Something was stored after the session had been gone: it came back. */
  readonly resurrected: boolean
}

/** Opens the store with real time and the settings that all processes of a test share. */
export async function openSharedStore({ kind, path }: SharedStore): Promise<SessionEngine> {
  const common = {
    codec: createSessionCodec({ secretKey: 'test-secret-key-0123456789' }),
    expiryRules: { cookieAgeSeconds: 1000, expireAtBrowserClose: false, dates: 'iso', useTz: true },
    clock: systemClock,
    newKey: () => createSessionKey(),
  } as const
  if (kind === 'file') {
    return createFileSessions({ ...common, directory: path, prefix: 'sessionid', lockTimeoutMs: 20_000 })
  }
  return await openSqliteSessions({ ...common, path, create: 'ours', useTz: true, busyTimeoutMs: 20_000 })
}

/** Runs a task in a process of its own; `started` resolves with its first stored change. */
export function startWriter(task: WriterTask): { started: Promise<void>; report: Promise<WriterReport> } {
  const child = fork(import.meta.filename, [JSON.stringify(task)])
  const messages: AsyncIterator<unknown[]> = (async function* () {
    for (;;) yield await once(child, 'message')
  })()
  const started = messages.next().then(() => {})
  const report = started.then(() => messages.next()).then(({ value }) => readReport(value[0]))
  return { started, report }
}

function readReport(message: unknown): WriterReport {
  if (typeof message !== 'object' || message === null || !('stored' in message) || !('resurrected' in message)) {
    throw new TypeError('no report')
  }
  return { stored: Number(message.stored), resurrected: Boolean(message.resurrected) }
}

async function work({ store, key, times }: WriterTask): Promise<WriterReport> {
  await using engine = await openSharedStore(store)
  let stored = 0
  let gone = 0
  let resurrected = false
  for (let i = 0; i < times && gone < 20; i++) {
    const result = await engine.transition(key, (now) => ({
      kind: 'update',
      data: new Map(now).set('n', `${Number(now.get('n') ?? 0) + 1}`),
    }))
    if (result.kind === 'stored') stored++
    else gone++
    if (result.kind === 'stored' && gone > 0) resurrected = true
    if (i === 0) process.send?.('started')
  }
  return { stored, resurrected }
}

if (import.meta.main) {
  const task: WriterTask = JSON.parse(process.argv[2] ?? '')
  process.send?.(await work(task))
  process.disconnect?.()
}
