import { GO_ON, type Llhttp, type MessageParts, PARSED, PAUSED, REFUSE, SKIP_BODY } from './llhttp.ts'

/** How far `parse` came: it needs more bytes; a message has ended; the answer cannot be read, or is too large. */
export type ParseResult = 'more' | 'message' | 'malformed' | 'too-large'

/**
 * How many bytes of an answer may go by, head or chunks, that are neither header text nor body, for each byte of header
 * text that is allowed: the least line that says anything is a name of one byte in four.
 */
const RAW_BYTES_PER_HEADER_BYTE = 4

const HTTP_1 = 'HTTP/1.'
const CODE_OF_H = 0x48
const CODE_OF_0 = 0x30
const CODE_OF_1 = 0x31

/** What the parser was doing; a piece that is no continuation of the last one must not be taken for one. */
const NOTHING = 0
const REASON = 1
const NAME = 2
const VALUE = 3

/**
 * Reads the answers on one connection: heads, and bodies that are chunked. How long any other body is, and which bytes
 * are its, is a matter of counting, which is left to whoever knows the request.
 *
 * llhttp says where the parts are; the head is kept as one text and cut when it is whole. A head that does not begin
 * with the first byte of an answer, or is not of HTTP/1.0 or 1.1, is malformed: llhttp itself would skip empty lines
 * before it, which are what is left of an answer that was longer than it said.
 */
export class ResponseParser implements MessageParts {
  readonly #llhttp: Llhttp
  readonly #maxHeaderBytes: number
  readonly #parser: number
  readonly #onChunkData: (from: number, to: number) => void
  /** The bytes of the message that earlier portions brought, as long as its head has not ended. */
  #carried = ''
  #bytes: Buffer = nothing
  /** What is added to a position in the portion to get one in the text of the head. */
  #shift = 0
  #portionFrom = 0
  #portionTo = 0
  /** From and to of each name and value, in the text of the head. */
  readonly #marks: number[] = []
  #markCount = 0
  #reasonFrom = 0
  #reasonTo = 0
  #last = NOTHING
  #headerBytes = 0
  /** Since the head or the last byte of the body. */
  #rawBytes = 0
  #isHead = false
  #isPaused = false
  #isComplete = false
  #isTooLarge = false

  /** The head of the message has been read; `status` to `lines` are those of it. */
  hasHead = false
  status = 0
  reason = ''
  /** Flat, as received, values without outer white space. */
  lines: string[] = []
  mayPersist = false
  /** The body is chunked, and the parser reads it. */
  isChunked = false
  /** Where in the portion the message ended that `parse` has told of: with its head, unless the body is chunked. */
  position = 0

  /** `onChunkData` is told where in the portion being parsed the data of a chunked body is. */
  constructor(llhttp: Llhttp, maxHeaderBytes: number, onChunkData: (from: number, to: number) => void) {
    this.#llhttp = llhttp
    this.#maxHeaderBytes = maxHeaderBytes
    this.#onChunkData = onChunkData
    this.#parser = llhttp.open()
  }

  /** A request has been sent, and the next message answers it; `isHead`: its method was HEAD. */
  expect(isHead: boolean): void {
    this.#isHead = isHead
    this.#reset()
  }

  /** Reads on, to the end of the portion or of the message. */
  parse(bytes: Buffer, from: number, to: number): ParseResult {
    if (this.#isComplete) this.#reset()
    if (this.#rawBytes === 0 && !this.hasHead && bytes[from] !== CODE_OF_H) return 'malformed'
    if (this.#isPaused) {
      this.#isPaused = false
      this.#llhttp.resume(this.#parser)
    }
    this.#bytes = bytes
    this.#portionFrom = from
    this.#portionTo = to
    this.#shift = this.#carried.length - from
    this.#rawBytes += to - from
    this.#llhttp.load(bytes, from, to)
    const result = this.#llhttp.execute(this.#parser, this)
    if (this.#isTooLarge || this.#rawBytes > this.#maxHeaderBytes * RAW_BYTES_PER_HEADER_BYTE) {
      // A portion that has the whole of a message in it was read already.
      if (this.#isTooLarge || !this.#isComplete) return 'too-large'
    }
    if (result === PARSED) {
      if (!this.hasHead) this.#carried += bytes.toString('latin1', from, to)
      return 'more'
    }
    if (result !== PAUSED || !this.#isComplete) return 'malformed'
    this.#isPaused = true
    this.position = this.#llhttp.stoppedAt(this.#parser)
    return 'message'
  }

  /** To be called once, when the connection is closed, and not from within `parse`. */
  free(): void {
    this.#llhttp.free(this.#parser)
  }

  #reset(): void {
    this.#carried = ''
    this.#markCount = 0
    this.#last = NOTHING
    this.#reasonFrom = 0
    this.#reasonTo = 0
    this.#headerBytes = 0
    this.#rawBytes = 0
    this.#isComplete = false
    this.hasHead = false
    this.isChunked = false
  }

  onReason(from: number, to: number): number {
    if (this.#last !== REASON) this.#reasonFrom = from + this.#shift
    else if (this.#reasonTo !== from + this.#shift) return REFUSE
    this.#last = REASON
    this.#reasonTo = to + this.#shift
    if (this.#reasonTo - this.#reasonFrom < this.#maxHeaderBytes) return GO_ON
    this.#isTooLarge = true
    return REFUSE
  }

  onName(from: number, to: number): number {
    return this.#mark(NAME, from, to)
  }

  onValue(from: number, to: number): number {
    return this.#mark(VALUE, from, to)
  }

  onHead(status: number, mayPersist: boolean): number {
    const last = Math.max(HTTP_1.length + 1, this.#reasonTo, this.#lastMark())
    const text = this.#carried + this.#bytes.toString('latin1', this.#portionFrom, last - this.#shift)
    if (!isOwnVersion(text) || this.#markCount % 4 !== 0) return REFUSE
    this.#carried = ''
    this.hasHead = true
    this.status = status
    this.reason = text.slice(this.#reasonFrom, this.#reasonTo)
    this.lines = this.#cutLines(text)
    // HTTP/1.0 knows no chunks: whoever sends them in its name is not to be trusted with the next request.
    this.mayPersist = mayPersist && !(this.isChunked && text.charCodeAt(HTTP_1.length) === CODE_OF_0)
    this.#last = NOTHING
    // Trailers are counted anew, and so is what goes by between the chunks.
    this.#headerBytes = 0
    this.#rawBytes = this.#portionTo + this.#shift - last
    const hasBody = !this.#isHead && status >= 200 && status !== 204 && status !== 304
    return hasBody && this.isChunked ? GO_ON : SKIP_BODY
  }

  onBody(from: number, to: number): number {
    this.#rawBytes = this.#portionTo - to
    this.#onChunkData(from, to)
    return GO_ON
  }

  onEnd(): number {
    this.#isComplete = true
    return PAUSED
  }

  #mark(kind: typeof NAME | typeof VALUE, from: number, to: number): number {
    // Trailers are dropped, and only counted.
    if (this.hasHead) return this.#count(to - from)
    if (this.#last === kind) {
      // A value that goes on elsewhere is one that was folded.
      if (this.#lastMark() !== from + this.#shift) return REFUSE
      this.#marks[this.#markCount - 1] = to + this.#shift
    } else {
      this.#marks[this.#markCount] = from + this.#shift
      this.#marks[this.#markCount + 1] = to + this.#shift
      this.#markCount += 2
      this.#last = kind
    }
    return this.#count(to - from)
  }

  #lastMark(): number {
    return this.#markCount === 0 ? 0 : (this.#marks[this.#markCount - 1] ?? 0)
  }

  #count(size: number): number {
    this.#headerBytes += size
    if (this.#headerBytes < this.#maxHeaderBytes) return GO_ON
    this.#isTooLarge = true
    return REFUSE
  }

  #cutLines(text: string): string[] {
    const marks = this.#marks
    const lines: string[] = []
    for (let i = 0; i < this.#markCount; i += 4) {
      const name = text.slice(marks[i], marks[i + 1])
      if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') this.isChunked = true
      lines.push(name, text.slice(marks[i + 2], endOfValue(text, marks[i + 2] ?? 0, marks[i + 3] ?? 0)))
    }
    return lines
  }
}

const nothing = Buffer.alloc(0)

function isOwnVersion(text: string): boolean {
  const minor = text.charCodeAt(HTTP_1.length)
  return text.startsWith(HTTP_1) && (minor === CODE_OF_1 || minor === CODE_OF_0)
}

/** llhttp leaves the white space at the end of a value. */
function endOfValue(text: string, from: number, to: number): number {
  let end = to
  while (end > from && (text[end - 1] === ' ' || text[end - 1] === '\t')) end -= 1
  return end
}
