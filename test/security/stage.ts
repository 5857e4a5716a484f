import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type AppHandler, startApp, type TestApp } from '../support/app.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'

/** The app does what the request's own headers say: `Say: <header>: <value>` lines, `Status: <code>`; `Wait: <ms>`. */
export const obedient: AppHandler = async (request) => {
  const headers = request.values('Say').flatMap((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  const waitMs = Number(request.values('Wait')[0] ?? 0)
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
  const { method, url, rawHeaders } = request
  const body = JSON.stringify({ method, url, rawHeaders, body: request.body.toString('latin1') })
  return { status: Number(request.values('Status')[0] ?? 200), headers, body }
}

export interface Stage extends AsyncDisposable {
  readonly app: TestApp
  readonly gateway: TestGateway
}

/** An obedient app and a gateway; `APP` in the configuration stands for the app's origin. */
export async function openStage(
  config: string,
  options: Omit<TestGatewayOptions, 'config'> & { readonly handler?: AppHandler } = {},
): Promise<Stage> {
  const app = await startApp(options.handler ?? obedient)
  const starting = startGateway({ ...options, config: config.replaceAll('APP', app.origin) })
  const gateway = await starting.catch(async (error: unknown) => {
    // An app that is left behind would keep the whole run alive.
    await app[Symbol.asyncDispose]()
    throw error
  })
  return {
    app,
    gateway,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await app[Symbol.asyncDispose]()
    },
  }
}

/** Everything that comes back on one connection for these bytes, until the gateway closes it. */
export async function exchange(port: number, bytes: string, deadlineMs?: number): Promise<string> {
  await using client = await connectRaw(port)
  await client.send(bytes)
  return (await client.rest(deadlineMs)).toString('latin1')
}

/** The status codes in what came back on one connection. */
export function statuses(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, code]) => Number(code))
}

/** Opens the gateway's own database beside it. */
export function openRows(folder: string): DatabaseSync {
  return new DatabaseSync(join(folder, 'var/sessiongate.sqlite3'))
}

/** Every row of the store. */
export function rowsOf(folder: string): Record<string, unknown>[] {
  const database = openRows(folder)
  try {
    return database.prepare('SELECT * FROM django_session ORDER BY session_key').all()
  } finally {
    database.close()
  }
}
