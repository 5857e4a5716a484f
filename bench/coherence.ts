/**
 * How long the gateway goes on with what a session was, after somebody else has changed it in the store:
 *
 *     npm run bench -- coherence [changes, default 10000] [--only redis|postgres|sqlite]
 *
 * Another process than the gateway's writes a new value past it, and then asks the gateway until it sees the value. README.md
 * beside this file says how to read it.
 */
import { DatabaseSync } from 'node:sqlite'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { Client as HttpClient } from 'undici'
import { parseSessionData, type SessionData } from '../src/django/json.ts'
import { createSessionCodec } from '../src/django/session-data.ts'
import { pickleSerializer } from '../src/sessions/caches/pickle-serializer.ts'
import { cacheKeyPrefix } from '../src/sessions/caches/session-cache.ts'
import { requireServer } from '../test/support/requirement.ts'
import { type Arena, openArena } from './compare/arena.ts'
import type { Gateway } from './compare/gateway.ts'
import { digits } from './compare/spread.ts'
import { SECRET_KEY } from './engines/stores.ts'

const { values, positionals } = parseArgs({
  args: process.argv.slice(3),
  allowPositionals: true,
  options: { only: { type: 'string' } },
})
const changes = Number(positionals[0] ?? 10_000)
/** A change that is not seen by then is lost. */
const DEADLINE_MS = 10_000

/** Writes a session as somebody else would; resolves when the store has said that it has it. */
interface Writer extends AsyncDisposable {
  write(key: string, data: SessionData): Promise<void>
}

interface Place {
  readonly session: readonly string[]
  readonly sections: string
  readonly openWriter: () => Promise<Writer>
}

const codec = createSessionCodec({ secretKey: SECRET_KEY, secretKeyFallbacks: [], saltClass: 'SessionStore' })
const textOf = (data: SessionData): string => codec.encode(data, Date.now())

async function onRedis({ servers }: Arena): Promise<Place> {
  const port = await servers.redisPort()
  const prefix = cacheKeyPrefix({ keyPrefix: '', version: 1 }, 'cache')
  return {
    session: ['engine: cache'],
    sections: `caches: { default: { backend: redis, url: "redis://127.0.0.1:${port}" } }`,
    async openWriter() {
      const redis = new Redis({ host: '127.0.0.1', port })
      return {
        async write(key, data) {
          const value = Buffer.from(pickleSerializer.encode(data))
          await redis.call('SET', `${prefix}${key}`, value, 'XX', 'KEEPTTL')
        },
        async [Symbol.asyncDispose]() {
          await redis.quit()
        },
      }
    },
  }
}

async function onPostgres({ servers }: Arena): Promise<Place> {
  const url = await servers.postgresUrl()
  return {
    session: ['engine: db'],
    sections: `database: { url: "${url}", create: true, notify: create }`,
    async openWriter() {
      const client = new Client({ connectionString: url })
      await client.connect()
      return {
        async write(key, data) {
          const text = 'UPDATE django_session SET session_data = $1 WHERE session_key = $2'
          await client.query({ name: 'write', text, values: [textOf(data), key] })
        },
        [Symbol.asyncDispose]: () => client.end(),
      }
    },
  }
}

async function onSqlite({ folderFor }: Arena): Promise<Place> {
  const path = `${await folderFor('coherence')}/sessions.sqlite3`
  return {
    session: ['engine: db'],
    sections: `database: { url: "sqlite:${path}", create: true }`,
    async openWriter() {
      const database = new DatabaseSync(path, { timeout: 5000 })
      // As another process with the usual compromise between speed and a power cut.
      database.exec('PRAGMA synchronous = NORMAL')
      const update = database.prepare('UPDATE django_session SET session_data = ? WHERE session_key = ?')
      return {
        async write(key, data) {
          update.run(textOf(data), key)
        },
        async [Symbol.asyncDispose]() {
          database.close()
        },
      }
    },
  }
}

const places = { redis: onRedis, postgres: onPostgres, sqlite: onSqlite } as const

interface Outcome {
  /** From the store's word to the sending of the first request that saw the change. */
  readonly delaysMs: readonly number[]
  /** Answers that still had the old value. */
  readonly stale: number
  readonly fromMemory: string
}

async function measure({ openWriter, ...change }: Place, arena: Arena, label: string): Promise<Outcome> {
  await using gateway = await arena.openGateway(`coherence ${label}`, change)
  await using writer = await openWriter()
  const cookie = await gateway.logIn()
  const key = cookie.slice(cookie.indexOf('=') + 1)
  const client = new HttpClient(gateway.origin)
  const seen = async (): Promise<string> => {
    const { statusCode, body } = await client.request({ method: 'GET', path: '/echo', headers: { cookie } })
    const text = await body.text()
    if (statusCode !== 200) throw new Error(`the gateway answered with ${statusCode}`)
    return text
  }
  const delaysMs: number[] = []
  let stale = 0
  for (let number = 1; number <= changes; number++) {
    const name = `Ada ${number}`
    const data = parseSessionData(`{"userInfo":{"id":7,"name":"${name}"}}`)
    if (data === undefined) throw new TypeError('this is no session')
    // What is not in memory cannot be old.
    await seen()
    await writer.write(key, data)
    const fromMs = performance.now()
    for (let sentMs = fromMs; ; sentMs = performance.now()) {
      if ((await seen()) === `user=${name}`) {
        delaysMs.push(sentMs - fromMs)
        break
      }
      stale += 1
      if (sentMs - fromMs > DEADLINE_MS) throw new Error(`${label}: a change was not seen in ${DEADLINE_MS} ms`)
    }
  }
  await client.close()
  return { delaysMs: delaysMs.sort((a, b) => a - b), stale, fromMemory: await readMemoryShare(gateway) }
}

/** If nothing came from memory, nothing was proved. */
async function readMemoryShare({ metrics }: Gateway): Promise<string> {
  const text = await metrics()
  const lines = text.split('\n').filter((line) => /cache_requests_total/.test(line) && !line.startsWith('#'))
  return lines.map((line) => line.replace(/^.*\{/, '{')).join(' ') || 'no word about memory in its metrics'
}

function print(label: string, { delaysMs, stale, fromMemory }: Outcome): void {
  const at = (share: number): string =>
    digits(delaysMs[Math.min(delaysMs.length - 1, Math.floor(delaysMs.length * share))] ?? 0)
  const times = `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, at most ${at(1)} ms`
  console.log(`${label.padEnd(9)} ${times}; ${stale} answers with the old value   ${fromMemory}`)
}

process.setMaxListeners(100)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
await using arena = await openArena()
console.log(`${changes} changes in each store, from its word until the sending of the first request that saw it`)
for (const [label, open] of Object.entries(places)) {
  if (values.only !== undefined && values.only !== label) continue
  const lack = label === 'postgres' ? requireServer('postgres').skip : false
  if (lack === false) print(label, await measure(await open(arena), arena, label))
  else console.log(`${label.padEnd(9)} left out: ${lack}`)
}
