import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sqliteDateText } from '../../src/django/dates.ts'
import { createSessionKey } from '../../src/django/session-key.ts'
import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createMemoryCache } from '../../src/sessions/caches/memory.ts'
import { openSqliteSessions } from '../../src/sessions/databases/sqlite.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import { createCacheSessions } from '../../src/sessions/engines/cache.ts'
import { createReadAlsoEngine, type ReadAlsoOptions } from '../../src/sessions/engines/read-also.ts'
import { scratchRoot } from '../support/scratch.ts'
import { changeCache } from './cache-double.ts'
import { describeSessionEngine } from './session-engine.ts'
import type { EngineWorld, OpenStore, StoreUnderTest } from './session-engine-world.ts'

interface Arrangement {
  readonly open: OpenStore
  readonly moves: ReadAlsoOptions['moves']
  /** Where the suite's new sessions come into being; `also` = every one of them has yet to move. */
  readonly born: 'main' | 'also'
}

/** Two stores of one kind, read as one. */
function readAlso({ open, moves, born }: Arrangement): OpenStore {
  return async (world) => {
    const stack = new AsyncDisposableStack()
    const main = stack.use(await open(keysFor(world, born === 'main')))
    const also = stack.use(await open(keysFor(world, born === 'also')))
    return {
      async connect() {
        const engines = { main: await main.connect(), also: await also.connect() }
        const options = { clock: world.clock, newKey: () => createSessionKey(), moves }
        return bornIn(engines[born], createReadAlsoEngine(engines.main, engines.also, options))
      },
      peek: async (key) => (await main.peek(key)) ?? (await also.peek(key)),
      plant: (key, text) => main.plant(key, text),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    }
  }
}

/** The suite makes keys collide in one store. Between two, only chance could, and 165 bits are against it. */
function keysFor(world: EngineWorld, isWhereBorn: boolean): EngineWorld {
  const newKey = isWhereBorn ? world.newKey : () => createSessionKey()
  return Object.create(world, { newKey: { value: newKey, enumerable: true } })
}

/** The same engine, but its new sessions begin in that store. */
function bornIn(place: SessionEngine, engine: SessionEngine): SessionEngine {
  return new Proxy(engine, {
    get(target, name) {
      if (name === 'create') return place.create.bind(place)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

async function openMemory(world: EngineWorld): Promise<StoreUnderTest> {
  const { expiryRules, clock, newKey } = world
  const cache = createMemoryCache({ clock })
  const options = { serializer: jsonSerializer, keyPrefix: '', expiryRules, clock, newKey }
  return {
    connect: async () => createCacheSessions(changeCache(cache), options),
    async peek(key) {
      const value = await cache.get(key)
      return value && Buffer.from(value.bytes).toString()
    },
    async plant(key, text) {
      await cache.add(key, Buffer.from(text), 3600)
    },
    [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose](),
  }
}

async function openSqlite({ codec, expiryRules, clock, newKey }: EngineWorld): Promise<StoreUnderTest> {
  const folder = await mkdtemp(join(scratchRoot(), 'sessiongate-read-also-'))
  const path = join(folder, 'sessions.sqlite3')
  const options = { codec, expiryRules, clock, newKey, useTz: true, path, create: 'ours', busyTimeoutMs: 5000 } as const
  const connect = () => openSqliteSessions(options)
  await (await connect())[Symbol.asyncDispose]()
  const database = new DatabaseSync(path, { timeout: 5000 })
  return {
    connect,
    async peek(key) {
      const row = database.prepare('SELECT session_data FROM django_session WHERE session_key = ?').get(key)
      return row && String(row.session_data)
    },
    async plant(key, text) {
      const insert = database.prepare('INSERT INTO django_session VALUES (?, ?, ?)')
      insert.run(key, text, sqliteDateText(clock() + 3_600_000, true))
    },
    async [Symbol.asyncDispose]() {
      database.close()
      await rm(folder, { recursive: true })
    },
  }
}

const inMemory = { isServerSide: true, isSigned: false, tellsExpired: false, countsExpired: false }
const inSqlite = { isServerSide: true, isSigned: true, tellsExpired: true }
const memory = { open: openMemory }

describeSessionEngine('read also, nothing to move', readAlso({ ...memory, moves: 'to main', born: 'main' }), inMemory)
describeSessionEngine('read also, all to move', readAlso({ ...memory, moves: 'to main', born: 'also' }), inMemory)
describeSessionEngine('read also, not moving', readAlso({ ...memory, moves: 'never', born: 'main' }), inMemory)
describeSessionEngine('read also, moved by others', readAlso({ ...memory, moves: 'never', born: 'also' }), inMemory)
describeSessionEngine(
  'read also, all to move from SQLite to SQLite',
  readAlso({ open: openSqlite, moves: 'to main', born: 'also' }),
  inSqlite,
  // Every first change takes seven commits here, and the suite makes thousands.
  { skip: process.env.SESSIONGATE_HISTORIES === undefined && 'takes a minute: npm run test:models' },
)
