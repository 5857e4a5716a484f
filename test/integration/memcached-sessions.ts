import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createSessionKey } from '../../src/django/session-key.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createMemcachedCache, memcachedFlags } from '../../src/sessions/caches/memcached.ts'
import { cacheKeyPrefix, type SessionCache } from '../../src/sessions/caches/session-cache.ts'
import type { SessionEngine } from '../../src/sessions/engine.ts'
import { createCacheSessions } from '../../src/sessions/engines/cache.ts'

/** Where a server, or a proxy before it, listens. */
export interface Place {
  readonly host: string
  readonly port: number
}

export interface CacheSettings {
  readonly timeoutMs?: number
  readonly maxItemBytes?: number
}

export const keyPrefix = cacheKeyPrefix({ keyPrefix: '', version: 1 }, 'cache')

/** A cache with real time. */
export function connectCache({ host, port }: Place, settings: CacheSettings = {}): SessionCache {
  const options = { server: { host, port }, keyPrefix, flags: memcachedFlags.json, timeoutMs: 20_000 }
  return createMemcachedCache({ ...options, clock: systemClock, ...settings })
}

/** The `cache` engine over it, as JSON. */
export function connectSessions(place: Place, settings: CacheSettings = {}): SessionEngine {
  return createCacheSessions(connectCache(place, settings), {
    serializer: jsonSerializer,
    keyPrefix,
    expiryRules: { cookieAgeSeconds: 1000, expireAtBrowserClose: false, dates: 'iso', useTz: true },
    clock: systemClock,
    newKey: () => createSessionKey(),
  })
}

export interface CountingTask {
  readonly place: Place
  readonly key: string
  /** What the members begin with that this process counts in, one for each of `writers`. */
  readonly name: string
  readonly writers: number
  readonly times: number
}

/** Runs a task in a process of its own; resolves when it ended well. */
export async function countElsewhere(task: CountingTask): Promise<void> {
  const child = fork(import.meta.filename, [JSON.stringify(task)])
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`the counting process ended with ${code}`)
}

async function count({ place, key, name, writers, times }: CountingTask): Promise<void> {
  await using engine = connectSessions(place)
  const write = async (member: string) => {
    for (let last = 0; last < times; last++) {
      await engine.transition(key, (now) => {
        if (Number(now.get(member) ?? 0) !== last) throw new Error(`${member} is ${now.get(member)}, not ${last}`)
        return { kind: 'update', data: new Map(now).set(member, `${last + 1}`) }
      })
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, i) => write(`${name}${i}`)))
}

if (import.meta.main) {
  await count(JSON.parse(process.argv[2] ?? ''))
  process.disconnect?.()
}
