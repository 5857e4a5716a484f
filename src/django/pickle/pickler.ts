import { longBytes } from './long-bytes.ts'
import * as op from './opcodes.ts'
import { FRAME_TARGET_BYTES, PickleOutput } from './pickle-output.ts'
import { encodeSurrogates } from './python-text.ts'
import { type PythonDict, PythonFloat, type PythonValue } from './python-value.ts'

/** The protocol that Django's caches write: `pickle.HIGHEST_PROTOCOL` of every Python since 3.8. */
const PROTOCOL = 5

/** CPython's BATCHSIZE: how many items one SETITEMS or APPENDS has. */
const BATCH_ITEMS = 1000

/**
 * The bytes that CPython's `pickle.dumps(value, 5)` gives for what its `json.loads` has made.
 *
 * A pickle says of every string, list and dict whether it *is* one that was written before (not: is equal to it). So it
 * matters what `json.loads` shares: keys, all those that are equal within one document; and the empty string and every
 * string of one character up to U+00FF, of which CPython has only one each, as keys and as values. Nothing else.
 *
 * `sizeHintBytes`: about how long the pickle will be.
 */
export function pickle(value: PythonValue, sizeHintBytes = 256): Buffer {
  const output = new PickleOutput(sizeHintBytes)
  output.writeByteOperand(op.PROTO, PROTOCOL)
  output.openFrame()
  new Pickler(output).write(value)
  output.writeByte(op.STOP)
  output.closeFrame()
  return output.finish()
}

class Pickler {
  readonly #output: PickleOutput
  /** The number under which a key, or a string that there is only once, was memoised. */
  readonly #memo = new Map<string, number>()
  #memoSize = 0

  constructor(output: PickleOutput) {
    this.#output = output
  }

  write(value: PythonValue): void {
    this.#output.markBoundary()
    if (typeof value === 'string') this.#writeString(value)
    else if (typeof value === 'number') this.#writeInteger(value)
    else if (typeof value === 'bigint') this.#writeLong(value)
    else if (typeof value === 'boolean') this.#output.writeByte(value ? op.NEWTRUE : op.NEWFALSE)
    else if (value === null) this.#output.writeByte(op.NONE)
    else if (value instanceof PythonFloat) this.#output.writeDoubleOperand(op.BINFLOAT, value.value)
    else if (value instanceof Map) this.#writeDict(value)
    else this.#writeList(value)
  }

  #writeString(text: string): void {
    if (isSingleton(text)) this.#writeShared(text)
    else this.#writeNew(text)
  }

  #writeDict(dict: PythonDict): void {
    this.#output.writeByte(op.EMPTY_DICT)
    this.#memoize()
    if (dict.size === 0) return
    if (dict.size > 1) this.#output.writeByte(op.MARK)
    let count = 0
    for (const [key, value] of dict) {
      this.#output.markBoundary()
      this.#writeShared(key)
      this.write(value)
      // CPython asks after the items, not before them: a dict whose last batch is full ends in an empty one.
      if (++count % BATCH_ITEMS === 0) this.#output.writeByteOperand(op.SETITEMS, op.MARK)
    }
    this.#output.writeByte(dict.size > 1 ? op.SETITEMS : op.SETITEM)
  }

  #writeList(list: readonly PythonValue[]): void {
    this.#output.writeByte(op.EMPTY_LIST)
    this.#memoize()
    if (list.length === 0) return
    if (list.length > 1) this.#output.writeByte(op.MARK)
    for (const [index, value] of list.entries()) {
      if (index > 0 && index % BATCH_ITEMS === 0) this.#output.writeByteOperand(op.APPENDS, op.MARK)
      this.write(value)
    }
    this.#output.writeByte(list.length > 1 ? op.APPENDS : op.APPEND)
  }

  /** A string that stands for all of its equals: only the first is written, further ones refer to it. */
  #writeShared(text: string): void {
    const index = this.#memo.get(text)
    if (index === undefined) {
      this.#memo.set(text, this.#memoSize)
      this.#writeNew(text)
    } else if (index < 256) {
      this.#output.writeByteOperand(op.BINGET, index)
    } else {
      this.#output.writeInt32Operand(op.LONG_BINGET, index)
    }
  }

  #writeNew(text: string): void {
    if (text.length > 255 || !this.#output.writeShortAscii(op.SHORT_BINUNICODE, text)) this.#writeUtf8(text)
    this.#memoize()
  }

  #writeUtf8(text: string): void {
    const bytes = text.isWellFormed() ? Buffer.from(text) : encodeSurrogates(text)
    const isFramed = bytes.length < FRAME_TARGET_BYTES
    if (!isFramed) this.#output.closeFrame()
    if (bytes.length < 256) this.#output.writeByteOperand(op.SHORT_BINUNICODE, bytes.length)
    else this.#output.writeInt32Operand(op.BINUNICODE, bytes.length)
    this.#output.writeBytes(bytes)
    if (!isFramed) this.#output.openFrame()
  }

  #writeInteger(value: number): void {
    if (value !== (value | 0)) this.#writeLong(BigInt(value))
    else if (value < 0 || value > 0xffff) this.#output.writeInt32Operand(op.BININT, value)
    else if (value > 0xff) this.#output.writeUInt16Operand(op.BININT2, value)
    else this.#output.writeByteOperand(op.BININT1, value)
  }

  #writeLong(value: bigint): void {
    const bytes = longBytes(value)
    if (bytes.length < 256) this.#output.writeByteOperand(op.LONG1, bytes.length)
    else this.#output.writeInt32Operand(op.LONG4, bytes.length)
    this.#output.writeBytes(bytes)
  }

  #memoize(): void {
    this.#output.writeByte(op.MEMOIZE)
    this.#memoSize++
  }
}

function isSingleton(text: string): boolean {
  return text.length < 2 && (text === '' || text.charCodeAt(0) < 0x100)
}
