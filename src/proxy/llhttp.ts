import { createRequire } from 'node:module'

/** What `execute` returns (llhttp's `llhttp_errno`); everything else is a message that is not well-formed. */
export const PARSED = 0
/** A callback returned it: parsing stopped there, and goes on with the next `execute`. */
export const PAUSED = 21

/** What callbacks return to go on, and what to stop with an error. */
export const GO_ON = 0
export const REFUSE = -1
/** What `onHead` returns when no body follows, or none that llhttp shall look for. */
export const SKIP_BODY = 1

/** llhttp's `HTTP_RESPONSE`. */
const RESPONSE = 2

/** The parts of a message as they are found; positions are those of the bytes given to `load`. A part may come in pieces. */
export interface MessageParts {
  onReason(from: number, to: number): number
  onName(from: number, to: number): number
  onValue(from: number, to: number): number
  /** The head has ended. `mayPersist`: what version and lines say about the connection (RFC 9112, section 9.3). */
  onHead(status: number, mayPersist: boolean): number
  onBody(from: number, to: number): number
  onEnd(): number
}

/** The functions of the WASM build that are used; addresses are numbers in its own memory. */
interface Machine {
  readonly memory: { readonly buffer: ArrayBuffer }
  malloc(byteCount: number): number
  llhttp_alloc(type: number): number
  llhttp_free(parser: number): void
  llhttp_execute(parser: number, from: number, byteCount: number): number
  llhttp_resume(parser: number): void
  llhttp_get_error_pos(parser: number): number
}

/** The part of the global that is used; its types come with the DOM's, which do not belong here. */
interface WithWasm {
  readonly WebAssembly: {
    readonly Module: new (bytes: Uint8Array) => object
    readonly Instance: new (module: object, imports: object) => { readonly exports: unknown }
  }
}

const { WebAssembly: wasm } = globalThis as unknown as WithWasm

/**
 * llhttp, the parser of Node and of undici, in the WASM build that undici brings along, for answers. No lenient flag is
 * ever set. One machine serves the connections of one upstream, each of which has a parser in it; bytes are copied into
 * its memory once, and positions come out.
 */
export class Llhttp {
  readonly #machine: Machine
  readonly #input: number
  readonly #inputBytes: number
  #memory: Uint8Array
  #parts: MessageParts | undefined
  /** What turns an address into a position of the bytes being parsed. */
  #offset = 0
  #loadedBytes = 0

  /** Bytes are given in portions of at most `inputBytes`. */
  constructor(inputBytes: number) {
    const compiled = new wasm.Module(readWasm())
    this.#machine = new wasm.Instance(compiled, { env: this.#callbacks() }).exports as Machine
    this.#inputBytes = inputBytes
    this.#input = this.#machine.malloc(inputBytes)
    this.#memory = new Uint8Array(this.#machine.memory.buffer)
  }

  /** Makes a parser and gives its address, which is to be freed. */
  open(): number {
    return this.#machine.llhttp_alloc(RESPONSE)
  }

  free(parser: number): void {
    this.#machine.llhttp_free(parser)
  }

  /** Takes a portion of bytes, from one position to another, for the next `execute`. */
  load(bytes: Buffer, from: number, to: number): void {
    if (to - from > this.#inputBytes) throw new TypeError('more bytes than the parser has room for')
    // Growing the memory, when parsers are made, detaches the view of it.
    if (this.#memory.length === 0) this.#memory = new Uint8Array(this.#machine.memory.buffer)
    bytes.copy(this.#memory, this.#input, from, to)
    this.#offset = from - this.#input
    this.#loadedBytes = to - from
  }

  /** Parses what was loaded, and tells `parts` what is in it. `parts` must not throw. */
  execute(parser: number, parts: MessageParts): number {
    this.#parts = parts
    return this.#machine.llhttp_execute(parser, this.#input, this.#loadedBytes)
  }

  /** The position at which the last `execute` of that parser stopped, when it did not return `PARSED`. */
  stoppedAt(parser: number): number {
    return this.#machine.llhttp_get_error_pos(parser) + this.#offset
  }

  /** After `PAUSED`, before the next `execute`. */
  resume(parser: number): void {
    this.#machine.llhttp_resume(parser)
  }

  /** One function for each kind, none made from another: they run some twenty times for each answer. */
  #callbacks(): Record<string, (parser: number, at: number, more: number, flag: number) => number> {
    return {
      wasm_on_url: () => REFUSE,
      wasm_on_message_begin: () => GO_ON,
      wasm_on_status: (_parser, at, size) => {
        const from = at + this.#offset
        return this.#parts?.onReason(from, from + size) ?? REFUSE
      },
      wasm_on_header_field: (_parser, at, size) => {
        const from = at + this.#offset
        return this.#parts?.onName(from, from + size) ?? REFUSE
      },
      wasm_on_header_value: (_parser, at, size) => {
        const from = at + this.#offset
        return this.#parts?.onValue(from, from + size) ?? REFUSE
      },
      wasm_on_headers_complete: (_parser, status, _upgrade, mayPersist) => {
        return this.#parts?.onHead(status, mayPersist === 1) ?? REFUSE
      },
      wasm_on_body: (_parser, at, size) => {
        const from = at + this.#offset
        return this.#parts?.onBody(from, from + size) ?? REFUSE
      },
      wasm_on_message_complete: () => this.#parts?.onEnd() ?? REFUSE,
    }
  }
}

/** undici exports its copies of llhttp as modules without types. Not every machine has SIMD. */
function readWasm(): Uint8Array {
  const require = createRequire(import.meta.url)
  const name = process.arch === 'riscv64' || process.arch === 'ppc64' ? 'llhttp' : 'llhttp_simd'
  const bytes: unknown = require(`undici/lib/llhttp/${name}-wasm.js`)
  if (!(bytes instanceof Uint8Array)) throw new TypeError('undici has no llhttp')
  return bytes
}
