import { LRUCache } from 'lru-cache'
import type { SessionData } from '../django/json.ts'

export interface DecodedMemoryOptions {
  /** Never throws; undefined for what is no session, which is not remembered. */
  readonly decode: (bytes: Uint8Array) => SessionData | undefined
  /** Of all values together, with what was made of them, by estimate. Default 16 MiB. */
  readonly maxBytes?: number
}

interface Decoded {
  readonly bytes: Uint8Array
  readonly data: SessionData
}

const MAX_BYTES = 16 * 1024 * 1024

/** The bytes themselves, and the texts that were cut out of them. */
const COPIES = 2
/** Of an entry without anything in it: buffer, map, and the place in the list. */
const ENTRY_BYTES = 1024

/**
 * Remembers what the stored bytes of a session were decoded to when they were read last. The store is asked for the bytes
 * each time, and they are compared whole: so this is no memory of sessions. What was changed has other bytes, and what was
 * ended has none; neither can be answered from here.
 *
 * The same bytes give the same object, so whoever works on sessions can tell at a glance that nothing has changed.
 */
export class DecodedMemory {
  readonly #decode: (bytes: Uint8Array) => SessionData | undefined
  readonly #entries: LRUCache<string, Decoded>

  constructor({ decode, maxBytes = MAX_BYTES }: DecodedMemoryOptions) {
    this.#decode = decode
    this.#entries = new LRUCache({
      // It takes room for all of them at once: no more than can ever be there.
      max: Math.max(1, Math.floor(maxBytes / ENTRY_BYTES)),
      maxSize: maxBytes,
      sizeCalculation: ({ bytes }, key) => ENTRY_BYTES + key.length + COPIES * bytes.length,
    })
  }

  /** What `decode` says of the bytes that the store has under the key now. */
  decode(key: string, bytes: Uint8Array): SessionData | undefined {
    const known = this.#entries.get(key)
    if (known !== undefined && Buffer.compare(known.bytes, bytes) === 0) return known.data
    const data = this.#decode(bytes)
    if (data === undefined) this.#entries.delete(key)
    // A copy of its own: the bytes that came may be a small part of a large buffer, all of which they would keep.
    else this.#entries.set(key, { bytes: Uint8Array.from(bytes), data })
    return data
  }

  /** The store has nothing under the key any more. */
  forget(key: string): void {
    this.#entries.delete(key)
  }
}
