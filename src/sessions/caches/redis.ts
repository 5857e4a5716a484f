import { saturateMs } from '../../django/dates.ts'
import { GatewayError } from '../../errors.ts'
import type { Clock } from '../../lib/clock.ts'
import { RedisFailure, type RedisFailureKind } from './redis-failure.ts'
import { RedisLink, type RedisLinkOptions } from './redis-link.ts'
import { createReads, type ReadTogether } from './redis-reads.ts'
import {
  compareAndSet,
  garbled,
  probe,
  type RedisSender,
  type RedisValue,
  readValue,
  readValues,
  storeNewValue,
  storeValue,
} from './redis-scripts.ts'
import type { CachedValue, CacheReplacement, SessionCache } from './session-cache.ts'

export interface RedisCacheOptions extends RedisLinkOptions {
  readonly clock: Clock
  /** A larger value counts as one that cannot be read: it is not fetched, and not touched. Default 3 MiB. */
  readonly maxValueBytes?: number
  /**
   * What a key must begin with so that our user may read it; `ping` asks for one that is not there. Default `''`.
   * A PING would also be answered to a user who may do nothing else, and by a cluster that is down.
   */
  readonly probePrefix?: string
}

/** A session of 1 MiB of JSON that is all numbers has 2.25 MiB as a pickle. */
const DEFAULT_MAX_VALUE_BYTES = 3 * 1024 * 1024

/** How many keys a server looks at in one step of a listing, in which it does nothing else: some tenths of a millisecond. */
const SCAN_COUNT = 500

/**
 * Sessions in Redis 6 or later: one server, one that sentinels watch over, or a cluster. Nothing is connected until the
 * first call, so a server that is down fails the calls and not the start.
 *
 * An ACL user needs `~prefix*` and `+hello +select +set +get +del +strlen +pttl +eval +evalsha +scan`; behind Sentinel
 * `+info` too, since what Sentinel names is only known for the master by that; in a cluster `+cluster|slots +asking`.
 *
 * Redis drops what is over by itself. A server with a `maxmemory` should have `maxmemory-policy noeviction`: then new
 * sessions and changes are refused when it is full and nobody is logged out, which any other policy does.
 *
 * Replication is asynchronous: what a master acknowledged in the moment before it failed may be lost in a failover, also
 * a deletion. `min-replicas-to-write` bounds how much.
 */
export function createRedisCache(options: RedisCacheOptions): SessionCache {
  return new RedisCache(options)
}

/** What stands for the stamp of a value that cannot be read: no write may have seen it. */
const unreadable: unique symbol = Symbol('a value that cannot be read')

class RedisCache implements SessionCache {
  readonly lists = true
  readonly #link: RedisLink
  readonly #clock: Clock
  readonly #maxValueBytes: number
  readonly #probePrefix: string
  readonly #isCluster: boolean
  readonly #read: (key: string) => Promise<RedisValue | undefined>
  #probes = 0

  constructor(options: RedisCacheOptions) {
    this.#link = new RedisLink(options)
    this.#clock = options.clock
    this.#maxValueBytes = options.maxValueBytes ?? DEFAULT_MAX_VALUE_BYTES
    this.#probePrefix = options.probePrefix ?? ''
    this.#isCluster = options.servers.kind === 'redis-cluster'
    // The keys of one command must all be in one slot of a cluster, and those of sessions are anywhere.
    this.#read = this.#isCluster ? (key) => this.#readAlone(key) : createReads((keys) => this.#readTogether(keys))
  }

  get(key: string): Promise<CachedValue | undefined> {
    return this.#read(key).then(
      (value) => value && this.#cachedValue(value),
      (error: unknown) => {
        if (!isWrongType(error)) throw error
        return { bytes: new Uint8Array(), expiresAt: undefined, stamp: unreadable }
      },
    )
  }

  async add(key: string, bytes: Uint8Array, ttlSeconds: number): Promise<boolean> {
    const perform = (sender: RedisSender) => storeNewValue(sender, { key, bytes: asBuffer(bytes), ttlSeconds })
    return await this.#link.run({ what: 'storing a new session', key, isRead: false, perform })
  }

  async put(key: string, bytes: Uint8Array, ttlSeconds: number): Promise<void> {
    const perform = (sender: RedisSender) => storeValue(sender, { key, bytes: asBuffer(bytes), ttlSeconds })
    await this.#link.run({ what: 'storing a session', key, isRead: false, perform })
  }

  async replace(key: string, { stamp, bytes, ttlSeconds }: CacheReplacement): Promise<boolean> {
    return await this.#compareAndSet('changing a session', key, stamp, { bytes: asBuffer(bytes), ttlSeconds })
  }

  async remove(key: string, stamp: unknown): Promise<boolean> {
    return await this.#compareAndSet('deleting a session', key, stamp, undefined)
  }

  /**
   * By SCAN, which does not stop the server: keys that come or go meanwhile may be listed or not, and some twice. While
   * the slots of a cluster move, some may be missed. A connection that is lost ends the listing with an error, since the
   * place where it stood is not known to another server.
   */
  async *keys(prefix: string): AsyncIterable<string> {
    const what = 'listing sessions'
    const masters = await this.#link.run({ what, isRead: true, perform: (client) => client.masters() })
    const pattern = `${prefix.replace(/[\\*?[\]]/g, '\\$&')}*`
    for (const master of masters) {
      let cursor = '0'
      do {
        const perform = () => scan(master, cursor, pattern)
        const page = await this.#link.run({ what, isRead: false, perform })
        for (const key of page.keys) if (key.startsWith(prefix)) yield key
        cursor = page.cursor
      } while (cursor !== '0')
    }
  }

  async clearExpired(): Promise<number> {
    return 0
  }

  async ping(): Promise<void> {
    // Another key each time, so that it is not always the same server of a cluster that speaks for all of them.
    const number = this.#probes++ % 100
    const key = `${this.#probePrefix}ping${number}`
    const keys = this.#isCluster ? [key] : [key, `${this.#probePrefix}pong${number}`]
    const perform = (sender: RedisSender) => probe(sender, keys)
    try {
      await this.#link.run({ what: 'asking for an answer', key, isRead: true, perform })
    } catch (error) {
      if (!isWrongType(error)) throw error
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#link[Symbol.asyncDispose]()
  }

  #cachedValue({ bytes, leftMs }: RedisValue): CachedValue {
    const expiresAt = leftMs === undefined ? undefined : saturateMs(this.#clock() + leftMs)
    if (bytes === undefined) return { bytes: new Uint8Array(), expiresAt, stamp: unreadable }
    // The same memory: whoever writes into the bytes can no longer show what he has seen.
    return { bytes, expiresAt, stamp: bytes }
  }

  #readAlone(key: string): Promise<RedisValue | undefined> {
    const perform = (sender: RedisSender) => readValue(sender, key, this.#maxValueBytes)
    return this.#link.run({ what: 'reading a session', key, isRead: true, perform })
  }

  async #readTogether(keys: readonly string[]): ReturnType<ReadTogether> {
    const [key] = keys
    if (keys.length === 1 && key !== undefined) return [await this.#readAlone(key)]
    const perform = (sender: RedisSender) => readValues(sender, keys, this.#maxValueBytes)
    try {
      return await this.#link.run({ what: 'reading a session', isRead: true, perform })
    } catch (error) {
      if (!isOfOneKey(error)) throw error
      return keys.map((key) => this.#readAlone(key))
    }
  }

  async #compareAndSet(
    what: string,
    key: string,
    stamp: unknown,
    next: { readonly bytes: Buffer; readonly ttlSeconds: number } | undefined,
  ): Promise<boolean> {
    if (!Buffer.isBuffer(stamp)) return false
    const perform = (sender: RedisSender) => compareAndSet(sender, { key, expected: stamp, next })
    try {
      return await this.#link.run({ what, key, isRead: false, perform })
    } catch (error) {
      if (isWrongType(error)) return false
      throw error
    }
  }
}

/** One key may be at fault that the others must not suffer for: what lies under it, or what the user may not read. */
function isOfOneKey(error: unknown): boolean {
  return isWrongType(error) || (error instanceof GatewayError && isFailure(error.cause, 'refused'))
}

function isWrongType(error: unknown): boolean {
  return isFailure(error, 'wrong_type')
}

function isFailure(error: unknown, kind: RedisFailureKind): boolean {
  return error instanceof RedisFailure && error.kind === kind
}

/** ioredis takes any other view of bytes for a list of numbers. */
function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

/** One step of a listing. Keys that are no UTF-8 come out as others, which do not exist. */
async function scan(sender: RedisSender, cursor: string, pattern: string): Promise<{ cursor: string; keys: string[] }> {
  const reply = await sender.send('scan', cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT)
  if (!Array.isArray(reply) || !Array.isArray(reply[1])) throw garbled()
  return { cursor: String(reply[0]), keys: (reply[1] as unknown[]).map(String) }
}
