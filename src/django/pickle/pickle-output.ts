import { FRAME } from './opcodes.ts'

/** The opcode and eight bytes of length. */
const FRAME_HEADER_BYTES = 9
/** CPython's FRAME_SIZE_MIN: less than this is written without a header. */
const MIN_FRAME_BYTES = 4
/** CPython's FRAME_SIZE_TARGET: at the next value after so many bytes a frame ends. */
export const FRAME_TARGET_BYTES = 64 * 1024

/**
 * Bytes in the frames of protocol 4 (PEP 3154), cut where CPython's pickler cuts them. Readers do not care where that is;
 * it is kept so that a session which nobody changed has the same bytes, whoever wrote it.
 */
export class PickleOutput {
  #bytes: Buffer
  #at = 0
  /** Where the open frame's header stands; -1 outside of frames. */
  #frameStart = -1

  constructor(sizeHintBytes: number) {
    this.#bytes = Buffer.allocUnsafe(sizeHintBytes)
  }

  openFrame(): void {
    this.#reserve(FRAME_HEADER_BYTES)
    this.#frameStart = this.#at
    this.#at += FRAME_HEADER_BYTES
  }

  /** To be called before every value: it is where a frame that is long enough ends and the next one begins. */
  markBoundary(): void {
    if (this.#at - this.#frameStart - FRAME_HEADER_BYTES < FRAME_TARGET_BYTES) return
    this.closeFrame()
    this.openFrame()
  }

  closeFrame(): void {
    const start = this.#frameStart
    const length = this.#at - start - FRAME_HEADER_BYTES
    if (length >= MIN_FRAME_BYTES) {
      this.#bytes[start] = FRAME
      this.#bytes.writeUInt32LE(length, start + 1)
      this.#bytes.writeUInt32LE(0, start + 5)
    } else {
      this.#bytes.copyWithin(start, start + FRAME_HEADER_BYTES, this.#at)
      this.#at -= FRAME_HEADER_BYTES
    }
    this.#frameStart = -1
  }

  writeByte(byte: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = byte
  }

  writeByteOperand(opcode: number, operand: number): void {
    this.#reserve(2)
    this.#bytes[this.#at++] = opcode
    this.#bytes[this.#at++] = operand
  }

  writeUInt16Operand(opcode: number, operand: number): void {
    this.#reserve(3)
    this.#bytes[this.#at] = opcode
    this.#bytes.writeUInt16LE(operand, this.#at + 1)
    this.#at += 3
  }

  writeInt32Operand(opcode: number, operand: number): void {
    this.#reserve(5)
    this.#bytes[this.#at] = opcode
    this.#bytes.writeInt32LE(operand, this.#at + 1)
    this.#at += 5
  }

  writeDoubleOperand(opcode: number, operand: number): void {
    this.#reserve(9)
    this.#bytes[this.#at] = opcode
    this.#bytes.writeDoubleBE(operand, this.#at + 1)
    this.#at += 9
  }

  /**
   * Writes `opcode`, one byte of length and the text, if it is ASCII; false, and nothing written, if it is not. At most
   * 255 characters.
   */
  writeShortAscii(opcode: number, text: string): boolean {
    const { length } = text
    this.#reserve(length + 2)
    const bytes = this.#bytes
    let at = this.#at + 2
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) return false
      bytes[at++] = code
    }
    bytes[this.#at] = opcode
    bytes[this.#at + 1] = length
    this.#at = at
    return true
  }

  writeBytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** What was written so far. The output is not to be used after that. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#at)
  }

  #reserve(count: number): void {
    if (this.#at + count <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + count))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
