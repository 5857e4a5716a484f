import { inflateSync } from 'node:zlib'
import type { Clock } from '../../lib/clock.ts'
import { storeUnavailable } from '../store-failure.ts'
import { MAX_STORED_TEXT_BYTES } from '../stored-text.ts'
import { ConnectionLost, type MemcachedAddress, MemcachedConnection } from './memcached-connection.ts'
import type { MemcachedReply, MemcachedValue } from './memcached-replies.ts'
import type { CachedValue, CacheReplacement, SessionCache } from './session-cache.ts'

/**
 * The numbers that tell a Python client how to read a value.
 *
 * - `pickle`: pymemcache's `pickle_serde`, which Django's `PyMemcacheCache` uses, pylibmc and python-memcached alike.
 * - `json`: Django has no JSON serializer for memcached; with stock settings it takes a 2 for a decimal number and fails.
 *   It reads such sessions through a `serde` of the operator's in `OPTIONS`, and 2 is what the example in pymemcache's
 *   documentation ("Serialization") stands for JSON.
 */
export const memcachedFlags = { pickle: 1, json: 2 } as const

/** pymemcache's `compressed_serde` and pylibmc: the value is a zlib stream. Read, never written. */
const FLAG_COMPRESSED = 8

export interface MemcachedCacheOptions {
  /** One server. Several would each keep a part of the keys, chosen by rules that differ from client to client. */
  readonly server: MemcachedAddress
  /** What every key begins with (`cacheKeyPrefix`): at most 218 bytes, without blanks and control characters. */
  readonly keyPrefix: string
  /** Written beside every value ({@link memcachedFlags}); values are read whatever stands there. */
  readonly flags: number
  /** Within this every call settles, connecting included, in milliseconds. */
  readonly timeoutMs: number
  /** The server's `-I`: how large an item may be, key and overhead included. Default 1 MiB, as there; at most 2 MiB count. */
  readonly maxItemBytes?: number
  /** Tells the time for ages over 30 days, which memcached wants as dates: it must agree with the server's clock. */
  readonly clock: Clock
}

const MAX_KEY_BYTES = 250
/** A session key that we make has 32 characters. */
const MAX_PREFIX_BYTES = MAX_KEY_BYTES - 32
/** memcached 1.6: 63 bytes beside key and value. Older ones write flags and length as text. */
const ITEM_OVERHEAD_BYTES = 100
/** Above, memcached takes the number for a date (protocol.txt, "Expiration times"). */
const MAX_RELATIVE_SECONDS = 30 * 24 * 3600
/** memcached reads the date as a signed 32-bit number. */
const MAX_DATE_SECONDS = 2 ** 31 - 1
/** Negative: the item is over at once. */
const OVER = -1

type Kind = MemcachedReply['kind']

/** What a stamp is: the cas number, and the connection on which it was seen. */
class Seen {
  readonly cas: string
  readonly connection: MemcachedConnection

  constructor(cas: string, connection: MemcachedConnection) {
    this.cas = cas
    this.connection = connection
  }
}

/**
 * Sessions in memcached (1.4.2 or newer, one server), over its text protocol: every write is an `add`, or a `cas` of
 * exactly the value that was read.
 *
 * **Evictions log people out.** memcached drops the values that were not used for longest when its memory is full, drops
 * all when it restarts, and does not tell. With `-M` it refuses new values instead (`ERR_STORE_UNAVAILABLE`); then a
 * log-out may be refused as well. Where sessions matter, put a database behind it (`cached_db`).
 *
 * It counts in seconds of its own, so a value may go up to one second early; it does not say when (`expiresAt` is
 * undefined), cannot list its keys, and clears by itself. A value larger than its items may be is refused here, before
 * it is sent: at a `set` that fails, memcached deletes the old value. At a failed `add` or `cas` it leaves it (1.6).
 *
 * A server that is down shows in the calls, not here: the first call connects, and every one after a connection ended.
 *
 * @throws {TypeError} for a prefix, flags or sizes that memcached cannot have.
 */
export function createMemcachedCache(options: MemcachedCacheOptions): SessionCache {
  return new MemcachedCache(options)
}

class MemcachedCache implements SessionCache {
  readonly lists = false
  readonly #options: MemcachedCacheOptions
  readonly #maxItemBytes: number
  readonly #place: string
  #connection: MemcachedConnection | undefined
  #isClosed = false

  constructor(options: MemcachedCacheOptions) {
    const { server, keyPrefix, flags, maxItemBytes = 1024 * 1024 } = options
    if (keyPrefix !== '' && (wireKey(keyPrefix)?.length ?? MAX_KEY_BYTES) > MAX_PREFIX_BYTES) {
      const bounds = `at most ${MAX_PREFIX_BYTES} bytes, without blanks and control characters`
      throw new TypeError(`the keys' prefix must fit memcached: ${bounds}`)
    }
    if (!Number.isInteger(flags) || flags < 0 || flags > 0xffff_ffff) throw new TypeError('flags are 32 bits')
    if (!(maxItemBytes >= 1024)) throw new TypeError('memcached has no items below 1 KiB (-I)')
    this.#options = options
    this.#maxItemBytes = Math.min(maxItemBytes, MAX_STORED_TEXT_BYTES)
    this.#place = `memcached at ${'path' in server ? server.path : `${server.host}:${server.port}`}`
  }

  async get(key: string): Promise<CachedValue | undefined> {
    const wire = wireKey(key)
    if (wire === undefined) return undefined
    const accepts = (reply: MemcachedReply) => reply.kind === 'nothing' || isValueOf(reply, wire)
    const { reply, connection } = await this.#read({ command: latin1(`gets ${wire}\r\n`), accepts })
    if (reply.kind !== 'value') return undefined
    // The server then compares nothing and answers every `cas` alike; no change would ever be stored.
    if (reply.cas === '0') throw storeUnavailable(`${this.#place}: it runs without compare-and-set (-C)`)
    return { bytes: readBytes(reply), expiresAt: undefined, stamp: new Seen(reply.cas, connection) }
  }

  async add(key: string, bytes: Uint8Array, ttlSeconds: number): Promise<boolean> {
    const command = this.#storage('add', key, { bytes, exptime: this.#exptime(ttlSeconds) })
    const { kind } = await this.#write(this.#connect(), command, ['stored', 'notStored'])
    return kind === 'stored'
  }

  /** Sets the value, whatever was there. If the server has no memory for it, the old value is gone all the same. */
  async put(key: string, bytes: Uint8Array, ttlSeconds: number): Promise<void> {
    const command = this.#storage('set', key, { bytes, exptime: this.#exptime(ttlSeconds) })
    await this.#write(this.#connect(), command, ['stored'])
  }

  replace(key: string, { stamp, bytes, ttlSeconds }: CacheReplacement): Promise<boolean> {
    return this.#compareAndSet(key, stamp, { bytes, exptime: this.#exptime(ttlSeconds) })
  }

  /** memcached's `delete` compares nothing: the value is replaced, in one step, by one that is over. */
  remove(key: string, stamp: unknown): Promise<boolean> {
    return this.#compareAndSet(key, stamp, { bytes: new Uint8Array(), exptime: OVER })
  }

  async *keys(): AsyncIterable<string> {}

  async clearExpired(): Promise<number> {
    return 0
  }

  async ping(): Promise<void> {
    await this.#read({ command: latin1('version\r\n'), accepts: ({ kind }) => kind === 'version' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#connection?.fail(new Error('it was closed'))
  }

  /**
   * memcached begins to count its cas numbers anew when it restarts, so that one of before could be that of another
   * value by then. As long as the connection stands it has not restarted; a stamp of an ended connection is of no use.
   */
  async #compareAndSet(key: string, stamp: unknown, content: Content): Promise<boolean> {
    if (!(stamp instanceof Seen)) throw new TypeError('this stamp is not of this cache')
    const command = this.#storage('cas', key, { ...content, cas: stamp.cas })
    if (stamp.connection !== this.#connection || !stamp.connection.isUsable) return false
    const { kind } = await this.#write(stamp.connection, command, ['stored', 'exists', 'notFound'])
    return kind === 'stored'
  }

  /** Asks, and once more on a new connection if the old one turned out to be broken: reading twice does no harm. */
  async #read(question: Question): Promise<{ reply: MemcachedReply; connection: MemcachedConnection }> {
    const deadline = this.#startDeadline()
    try {
      for (let attempt = 0; ; attempt++) {
        const connection = this.#connect()
        try {
          return { reply: await deadline.ask(connection, question), connection }
        } catch (error) {
          const isStale = error instanceof ConnectionLost && connection.wasOpened
          if (attempt > 0 || !isStale || deadline.isOver()) throw this.#failed(error)
        }
      }
    } finally {
      deadline.stop()
    }
  }

  /** Sends a command that changes something, once. */
  async #write(
    connection: MemcachedConnection,
    command: Uint8Array,
    answers: readonly Kind[],
  ): Promise<MemcachedReply> {
    const deadline = this.#startDeadline()
    const accepts = ({ kind }: MemcachedReply) => kind === 'refused' || answers.includes(kind)
    let reply: MemcachedReply
    try {
      reply = await deadline.ask(connection, { command, accepts })
    } catch (error) {
      throw this.#failed(error)
    } finally {
      deadline.stop()
    }
    if (reply.kind === 'refused') throw this.#refused(reply.why)
    return reply
  }

  #connect(): MemcachedConnection {
    if (this.#isClosed) throw storeUnavailable(`${this.#place}: the cache is closed`)
    if (!this.#connection?.isUsable) this.#connection = new MemcachedConnection(this.#options.server)
    return this.#connection
  }

  /** The time of one call; when it is over, the connection that the call waits on ends, and with it the call. */
  #startDeadline() {
    const { timeoutMs } = this.#options
    let current: MemcachedConnection | undefined
    let isOver = false
    const timer = setTimeout(() => {
      isOver = true
      current?.fail(new Error(`a call had no reply within ${timeoutMs} ms`))
    }, timeoutMs)
    return {
      ask(connection: MemcachedConnection, { command, accepts }: Question): Promise<MemcachedReply> {
        current = connection
        return connection.ask(command, accepts)
      },
      isOver: () => isOver,
      stop: () => clearTimeout(timer),
    }
  }

  /** A whole storage command; what memcached cannot hold never reaches it. */
  #storage(verb: 'add' | 'set' | 'cas', key: string, { bytes, exptime, cas }: Content): Uint8Array {
    const wire = wireKey(key)
    if (wire === undefined) throw storeUnavailable(`${this.#place}: that is no key for memcached`)
    const itemBytes = wire.length + bytes.length + ITEM_OVERHEAD_BYTES
    if (itemBytes > this.#maxItemBytes) {
      const bound = `its items may have ${this.#maxItemBytes} bytes`
      throw storeUnavailable(`${this.#place}: a session of ${bytes.length} bytes is too large; ${bound}`)
    }
    const tail = cas === undefined ? '\r\n' : ` ${cas}\r\n`
    const head = `${verb} ${wire} ${this.#options.flags} ${exptime} ${bytes.length}${tail}`
    return Buffer.concat([latin1(head), bytes, latin1('\r\n')])
  }

  #exptime(ttlSeconds: number): number {
    const seconds = Math.max(1, Math.floor(ttlSeconds))
    if (seconds <= MAX_RELATIVE_SECONDS) return seconds
    const nowSeconds = Math.floor(this.#options.clock() / 1000)
    const date = Math.min(nowSeconds + seconds, MAX_DATE_SECONDS)
    return date - nowSeconds > MAX_RELATIVE_SECONDS ? date : MAX_RELATIVE_SECONDS
  }

  #failed(error: unknown): Error {
    const reason = error instanceof Error ? error.message : 'it failed'
    return storeUnavailable(`${this.#place}: ${reason}`, error)
  }

  #refused(why: 'too large' | 'out of memory' | 'unknown'): Error {
    const reasons = {
      'too large': 'the session is larger than its items may be (-I)',
      'out of memory': 'it has no memory left and evicts nothing (-M), or nothing that would make room',
      unknown: 'it refused the command',
    }
    return storeUnavailable(`${this.#place}: ${reasons[why]}`)
  }
}

interface Content {
  readonly bytes: Uint8Array
  readonly exptime: number
  readonly cas?: string
}

interface Question {
  readonly command: Uint8Array
  readonly accepts: (reply: MemcachedReply) => boolean
}

/** The key as it goes over the wire, one character a byte; undefined if memcached could not hold it. */
function wireKey(key: string): string | undefined {
  const wire = Buffer.from(key).toString('latin1')
  return /^[^\0- \x7f]{1,250}$/.test(wire) ? wire : undefined
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

function isValueOf(reply: MemcachedReply, wire: string): boolean {
  return reply.kind === 'value' && reply.key === wire
}

/** What was stored; a compressed value that does not inflate, or to more than 2 MiB, stays as it is and is no session. */
function readBytes({ bytes, flags }: MemcachedValue): Uint8Array {
  if ((flags & FLAG_COMPRESSED) === 0) return bytes
  try {
    return inflateSync(bytes, { maxOutputLength: MAX_STORED_TEXT_BYTES })
  } catch {
    return bytes
  }
}
