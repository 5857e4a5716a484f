import { MAX_STORED_TEXT_BYTES } from '../stored-text.ts'

/** What memcached says to one command. */
export type MemcachedReply =
  | { readonly kind: 'stored' | 'notStored' | 'exists' | 'notFound' | 'nothing' | 'version' }
  /** The server could not do it, and says so; the connection is in order. */
  | { readonly kind: 'refused'; readonly why: 'too large' | 'out of memory' | 'unknown' }
  | MemcachedValue

export interface MemcachedValue {
  readonly kind: 'value'
  /** As it stands on the wire, one character a byte. */
  readonly key: string
  readonly flags: number
  /** Empty for a value of more than 2 MiB: no session of ours, and not worth the memory. */
  readonly bytes: Uint8Array
  /** Decimal digits: a 64-bit number. */
  readonly cas: string
}

/** The longest line that makes sense: a key of 250 bytes with four numbers. */
const MAX_LINE_BYTES = 512
/** memcached itself never takes an item of more than 1 GiB (`-I`). */
const MAX_SKIPPED_BYTES = 1024 ** 3
const LINE_FEED = 0x0a

const replyWords: Readonly<Record<string, MemcachedReply>> = {
  STORED: { kind: 'stored' },
  NOT_STORED: { kind: 'notStored' },
  EXISTS: { kind: 'exists' },
  NOT_FOUND: { kind: 'notFound' },
  END: { kind: 'nothing' },
}

interface ValueHead {
  readonly key: string
  readonly flags: number
  readonly sizeBytes: number
  readonly cas: string
}

/** A value that is arriving. Without `bytes` it is skipped, since it is too large. */
interface Arrival {
  readonly head: ValueHead
  readonly bytes: Uint8Array | undefined
  filledBytes: number
  /** After the bytes comes the end of their line, then `END`. */
  isLineEnded: boolean
}

/**
 * Reads the replies of memcached's text protocol to `gets` with one key, `add`, `set`, `cas` and `version`
 * (protocol.txt, "Retrieval commands", "Storage commands"), in whatever pieces they arrive. Strict: after the first byte
 * that does not fit, nothing on the connection means anything, so every oddity is an error, and whoever reads ends the
 * connection. A client that skips what it does not understand hands the next reply to the wrong call.
 */
export class MemcachedReplyReader {
  #line = ''
  #arrival: Arrival | undefined;

  /**
   * The replies that are complete with this piece, in order.
   *
   * @throws {Error} if that is no reply; its message holds nothing of what was received.
   */
  *read(piece: Uint8Array): Generator<MemcachedReply> {
    for (let offset = 0; offset < piece.length; ) {
      const arrival = this.#arrival
      if (arrival && arrival.filledBytes < arrival.head.sizeBytes) {
        offset += fill(arrival, piece.subarray(offset))
        continue
      }
      const end = piece.indexOf(LINE_FEED, offset)
      const part = piece.subarray(offset, end === -1 ? piece.length : end + 1)
      if (this.#line.length + part.length > MAX_LINE_BYTES) throw new Error('a line without end')
      this.#line += Buffer.from(part).toString('latin1')
      offset += part.length
      if (end === -1) return
      const reply = this.#readLine(takeLineEnd(this.#line))
      this.#line = ''
      if (reply) yield reply
    }
  }

  #readLine(line: string): MemcachedReply | undefined {
    const arrival = this.#arrival
    if (arrival === undefined) {
      const head = line.startsWith('VALUE ') ? readHead(line) : undefined
      if (head === undefined) return readWord(line)
      const bytes = head.sizeBytes > MAX_STORED_TEXT_BYTES ? undefined : new Uint8Array(head.sizeBytes)
      this.#arrival = { head, bytes, filledBytes: 0, isLineEnded: false }
      return undefined
    }
    if (line !== (arrival.isLineEnded ? 'END' : '')) throw new Error('a value that does not end where it should')
    if (!arrival.isLineEnded) {
      arrival.isLineEnded = true
      return undefined
    }
    this.#arrival = undefined
    const { key, flags, cas } = arrival.head
    return { kind: 'value', key, flags, cas, bytes: arrival.bytes ?? new Uint8Array() }
  }
}

/** Takes what belongs to the value and returns how many bytes that was. */
function fill(arrival: Arrival, piece: Uint8Array): number {
  const part = piece.subarray(0, arrival.head.sizeBytes - arrival.filledBytes)
  arrival.bytes?.set(part, arrival.filledBytes)
  arrival.filledBytes += part.length
  return part.length
}

function takeLineEnd(line: string): string {
  if (!line.endsWith('\r\n')) throw new Error('a line that does not end in CR LF')
  return line.slice(0, -2)
}

function readHead(line: string): ValueHead {
  const match = /^VALUE ([^\0- \x7f]{1,250}) (\d{1,10}) (\d{1,10}) (\d{1,20})$/.exec(line)
  const [, key = '', flags = '', size = '', cas = ''] = match ?? []
  if (match === null || Number(size) > MAX_SKIPPED_BYTES) throw new Error('a value whose head cannot be read')
  return { key, flags: Number(flags), sizeBytes: Number(size), cas }
}

function readWord(line: string): MemcachedReply {
  const word = Object.hasOwn(replyWords, line) ? replyWords[line] : undefined
  if (word) return word
  if (/^VERSION [\x21-\x7e]/.test(line)) return { kind: 'version' }
  if (line.startsWith('SERVER_ERROR ')) return { kind: 'refused', why: refusalOf(line) }
  // CLIENT_ERROR, ERROR: what the server does with the rest of such a command differs from version to version.
  if (/^(?:CLIENT_)?ERROR\b/.test(line)) throw new Error('the server did not understand the command')
  throw new Error('a reply that is none of memcached')
}

function refusalOf(line: string): 'too large' | 'out of memory' | 'unknown' {
  if (line.includes('object too large')) return 'too large'
  return line.includes('out of memory') ? 'out of memory' : 'unknown'
}
