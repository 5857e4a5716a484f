import { MAX_JSON_LENGTH } from '../json.ts'
import { longFromBytes, MAX_LONG_BYTES } from './long-bytes.ts'
import * as op from './opcodes.ts'
import { decodeUtf8 } from './python-text.ts'
import { PythonFloat, type PythonValue } from './python-value.ts'

/** The longest pickle that is looked at: no session of 1 MiB as JSON needs more than two and a half times as much. */
const MAX_PICKLE_BYTES = 3 * 1024 * 1024

/**
 * What Python's `pickle.loads` makes of these bytes, if it is plain data of protocol 2 to 5; undefined for anything else,
 * and it never throws. A pickle is a program that its reader runs. Here it can push constants, fill lists and dicts with
 * them and refer to them again, and that is all: an opcode that could import, call or build anything ends the reading, so
 * whoever can write into the cache can change sessions, but not run code.
 *
 * - A `tuple` is read as a list, as JSON has only those, and is therefore written back as one.
 * - A dict with a key that is no string is refused: JSON would make another key of it.
 * - What follows the STOP is ignored, as in Python.
 * - Stricter than `pickle.loads` where no pickler writes so: values left over at the STOP, a PROTO in the middle, frames
 *   in frames or ending within an opcode (Python has three readers, and they disagree about those), a memo with more places
 *   than the pickle has bytes. And no more values than a session of {@link MAX_JSON_LENGTH} has room for.
 *
 * The work is linear in the number of bytes. What comes out may stand in many places, or contain itself.
 */
export function unpickle(bytes: Uint8Array): PythonValue | undefined {
  if (bytes.length > MAX_PICKLE_BYTES) return undefined
  return new Unpickler(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).run()
}

class Unpickler {
  readonly #bytes: Buffer
  #at = 0
  /** Where the opcode stands that is running. */
  #opcodeAt = 0
  /** Where the frame ends that was begun last. */
  #frameEnd = 0
  readonly #stack: PythonValue[] = []
  /** Lengths of the stack at the MARKs that are open. What is below the last of them cannot be taken. */
  readonly #marks: number[] = []
  readonly #memo: (PythonValue | undefined)[] = []
  /** How many places of the memo are taken, which is where Python's MEMOIZE goes on. */
  #memoSize = 0
  /** Lists that must not grow. */
  readonly #tuples = new Set<PythonValue>()
  /** What may still be pushed; without a bound, three million dicts in as many bytes would fill the memory. */
  #lengthLeft = MAX_JSON_LENGTH

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  run(): PythonValue | undefined {
    const protocol = this.#bytes[1] ?? 0
    if (this.#bytes[0] !== op.PROTO || protocol < 2 || protocol > 5) return undefined
    this.#at = 2
    for (;;) {
      this.#opcodeAt = this.#at
      const opcode = this.#bytes[this.#at++]
      if (opcode === op.STOP) return this.#marks.length === 0 && this.#stack.length === 1 ? this.#stack[0] : undefined
      if (opcode === undefined || !(this.#runString(opcode) || this.#runConstant(opcode) || this.#runBuilder(opcode))) {
        return undefined
      }
    }
  }

  // Each of these runs the opcode and returns true, or returns false: not one of its own, or malformed.

  #runString(opcode: number): boolean {
    switch (opcode) {
      case op.SHORT_BINUNICODE:
        return this.#pushText(this.#readUnsigned(1))
      case op.BINUNICODE:
        return this.#pushText(this.#readUnsigned(4))
      case op.BINUNICODE8:
        return this.#pushText(this.#readUnsigned(8))
      case op.MEMOIZE:
        return this.#put(this.#memoSize)
      case op.BINPUT:
        return this.#put(this.#readUnsigned(1))
      case op.LONG_BINPUT:
        return this.#put(this.#readUnsigned(4))
      case op.BINGET:
        return this.#push(this.#memo[this.#readUnsigned(1)])
      case op.LONG_BINGET:
        return this.#push(this.#memo[this.#readUnsigned(4)])
      default:
        return false
    }
  }

  #runConstant(opcode: number): boolean {
    switch (opcode) {
      case op.NONE:
        return this.#push(null)
      case op.NEWTRUE:
        return this.#push(true)
      case op.NEWFALSE:
        return this.#push(false)
      case op.BININT1:
        return this.#pushUnsigned(1)
      case op.BININT2:
        return this.#pushUnsigned(2)
      case op.BININT:
        return this.#pushInteger()
      case op.LONG1:
        return this.#pushLong(this.#readUnsigned(1))
      case op.LONG4:
        return this.#pushLong(this.#readUnsigned(4))
      case op.BINFLOAT:
        return this.#pushFloat()
      default:
        return false
    }
  }

  #runBuilder(opcode: number): boolean {
    switch (opcode) {
      case op.EMPTY_DICT:
        return this.#push(new Map(), 2)
      case op.EMPTY_LIST:
        return this.#push([], 2)
      case op.MARK:
        return this.#marks.push(this.#stack.length) > 0
      case op.SETITEM:
        return this.#setItems(this.#stack.length - 2)
      case op.SETITEMS:
        return this.#setItems(this.#closeMark())
      case op.APPEND:
        return this.#append(this.#stack.length - 1)
      case op.APPENDS:
        return this.#append(this.#closeMark())
      case op.EMPTY_TUPLE:
        return this.#pushTuple(this.#stack.length)
      case op.TUPLE1:
        return this.#pushTuple(this.#stack.length - 1)
      case op.TUPLE2:
        return this.#pushTuple(this.#stack.length - 2)
      case op.TUPLE3:
        return this.#pushTuple(this.#stack.length - 3)
      case op.TUPLE:
        return this.#pushTuple(this.#closeMark())
      case op.FRAME:
        return this.#openFrame(this.#readUnsigned(8))
      default:
        return false
    }
  }

  /** The stack as far as it may be taken from: down to the last open MARK. */
  get #fence(): number {
    return this.#marks.at(-1) ?? 0
  }

  /** `minLength`: how much of the session's JSON the value takes at least, separators aside. */
  #push(value: PythonValue | undefined, minLength = 1): boolean {
    this.#lengthLeft -= minLength
    if (value === undefined || this.#lengthLeft < 0) return false
    this.#stack.push(value)
    return true
  }

  #pushUnsigned(width: 1 | 2): boolean {
    const value = this.#readUnsigned(width)
    return value >= 0 && this.#push(value)
  }

  #pushInteger(): boolean {
    const start = this.#take(4)
    return start >= 0 && this.#push(this.#bytes.readInt32LE(start))
  }

  #pushLong(length: number): boolean {
    if (length > MAX_LONG_BYTES) return false
    const start = this.#take(length)
    if (start < 0) return false
    const value = longFromBytes(this.#bytes.subarray(start, this.#at))
    const number = Number(value)
    return this.#push(Number.isSafeInteger(number) ? number : value)
  }

  #pushFloat(): boolean {
    const start = this.#take(8)
    return start >= 0 && this.#push(new PythonFloat(this.#bytes.readDoubleBE(start)))
  }

  #pushText(length: number): boolean {
    const start = this.#take(length)
    return start >= 0 && this.#push(this.#textAt(start), 2)
  }

  /** The text from `start` to where the reading stands. */
  #textAt(start: number): string | undefined {
    const bytes = this.#bytes
    const end = this.#at
    for (let at = start; at < end; at++) if ((bytes[at] ?? 0) > 0x7f) return decodeUtf8(bytes, start, end)
    return bytes.toString('latin1', start, end)
  }

  /** Makes a tuple of the values from `start` on. */
  #pushTuple(start: number): boolean {
    if (start < this.#fence) return false
    const tuple = this.#stack.splice(start)
    this.#tuples.add(tuple)
    return this.#push(tuple, 2)
  }

  /** Puts the values from `start` on into the list below them. */
  #append(start: number): boolean {
    const target = start > this.#fence ? this.#stack[start - 1] : undefined
    if (!Array.isArray(target) || this.#tuples.has(target)) return false
    for (let i = start; i < this.#stack.length; i++) target.push(this.#stack[i] ?? null)
    this.#stack.length = start
    return true
  }

  /** Puts the keys and values from `start` on into the dict below them. */
  #setItems(start: number): boolean {
    const stack = this.#stack
    const target = start > this.#fence ? stack[start - 1] : undefined
    if (!(target instanceof Map) || (stack.length - start) % 2 !== 0) return false
    for (let i = start; i < stack.length; i += 2) {
      const key = stack[i]
      if (typeof key !== 'string') return false
      target.set(key, stack[i + 1] ?? null)
    }
    stack.length = start
    return true
  }

  #put(index: number): boolean {
    const top = this.#stack.length > this.#fence ? this.#stack.at(-1) : undefined
    if (top === undefined || index < 0 || index > this.#bytes.length) return false
    if (this.#memo[index] === undefined) this.#memoSize++
    this.#memo[index] = top
    return true
  }

  /** The length of the stack at the last MARK, which is thereby closed; -1 if there is none. */
  #closeMark(): number {
    return this.#marks.pop() ?? -1
  }

  /** A frame in a frame is an error for one of Python's readers and none for the other. */
  #openFrame(length: number): boolean {
    if (this.#opcodeAt < this.#frameEnd || length < 0 || length > this.#bytes.length - this.#at) return false
    this.#frameEnd = this.#at + length
    return true
  }

  /** Moves over so many bytes and tells where they begin; -1 if there are fewer, or a frame ends between them. */
  #take(length: number): number {
    const start = this.#at
    const end = this.#opcodeAt < this.#frameEnd ? this.#frameEnd : this.#bytes.length
    if (length < 0 || length > end - start) return -1
    this.#at = start + length
    return start
  }

  /** An unsigned little-endian number; -1 if its bytes are not there. */
  #readUnsigned(width: 1 | 2 | 4 | 8): number {
    const start = this.#take(width)
    if (start < 0) return -1
    if (width === 1) return this.#bytes[start] ?? -1
    if (width === 2) return this.#bytes.readUInt16LE(start)
    const low = this.#bytes.readUInt32LE(start)
    return width === 4 ? low : low + this.#bytes.readUInt32LE(start + 4) * 2 ** 32
  }
}
