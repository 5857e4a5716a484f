import { randomFillSync } from 'node:crypto'

/** The longest header: two bytes, eight of length, four of mask (RFC 6455, section 5.2). */
const MAX_HEADER_BYTES = 14
const OPCODE_CLOSE = 0x8
/** RFC 6455, section 5.5: a control frame carries at most 125 bytes, two of which are the code. */
const MAX_REASON_BYTES = 123

/**
 * Follows the frames of one direction of a tunnel, without keeping or changing a byte, so that it is known where a
 * frame of ours may be put in. Bytes that are no frames make it count wrong, and then it says "within a frame" at worst
 * for ever: nothing is ever put in where it does not belong.
 */
export interface FrameTracker {
  /** The bytes seen so far end with a frame; true at the start. */
  isBetweenFrames(): boolean
  /** A Close frame has ended: nothing more may follow in this direction. */
  hasClosed(): boolean
  /** Reads on from `from`, to the end of the frame under way or of the chunk, and returns the position reached. */
  advance(chunk: Uint8Array, from: number): number
}

/** Creates a tracker that stands before the first frame. */
export function createFrameTracker(): FrameTracker {
  const header = new Uint8Array(MAX_HEADER_BYTES)
  let headerBytes = 0
  let payloadLeft = 0
  let isClosed = false

  function endFrame(): void {
    if (((header[0] ?? 0) & 0x0f) === OPCODE_CLOSE) isClosed = true
  }
  return {
    isBetweenFrames: () => headerBytes === 0 && payloadLeft === 0,
    hasClosed: () => isClosed,
    advance(chunk, from) {
      let at = from
      while (at < chunk.length) {
        if (payloadLeft > 0) {
          const step = Math.min(payloadLeft, chunk.length - at)
          at += step
          payloadLeft -= step
        } else {
          header[headerBytes] = chunk[at] ?? 0
          headerBytes += 1
          at += 1
          if (headerBytes < 2 || headerBytes < headerLength(header)) continue
          payloadLeft = payloadLength(header)
          headerBytes = 0
        }
        if (payloadLeft === 0) {
          endFrame()
          return at
        }
      }
      return at
    },
  }
}

function headerLength(header: Uint8Array): number {
  const second = header[1] ?? 0
  const length = second & 0x7f
  return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (second & 0x80 ? 4 : 0)
}

/** A length that no number holds exactly is as good as endless. */
function payloadLength(header: Uint8Array): number {
  const view = new DataView(header.buffer)
  const length = view.getUint8(1) & 0x7f
  if (length < 126) return length
  if (length === 126) return view.getUint16(2)
  const long = Number(view.getBigUint64(2))
  return Number.isSafeInteger(long) ? long : Number.POSITIVE_INFINITY
}

export interface CloseFrame {
  /** RFC 6455, section 7.4. */
  readonly code: number
  /** Cut after 123 bytes of UTF-8, never within a character. */
  readonly reason: string
  /** True towards a server, which must get masked frames only (section 5.1). */
  readonly isMasked: boolean
}

/** The bytes of a Close frame. */
export function closeFrame({ code, reason, isMasked }: CloseFrame): Buffer {
  const text = new Uint8Array(MAX_REASON_BYTES)
  const { written } = new TextEncoder().encodeInto(reason, text)
  const payload = Buffer.alloc(2 + written)
  payload.writeUInt16BE(code)
  payload.set(text.subarray(0, written), 2)
  if (!isMasked) return Buffer.concat([Buffer.of(0x80 | OPCODE_CLOSE, payload.length), payload])
  const mask = randomFillSync(Buffer.alloc(4))
  const masked = payload.map((byte, i) => byte ^ (mask[i % 4] ?? 0))
  return Buffer.concat([Buffer.of(0x80 | OPCODE_CLOSE, 0x80 | payload.length), mask, masked])
}
