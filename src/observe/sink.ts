import { close, write, writeSync } from 'node:fs'
import { promisify } from 'node:util'

export interface Sink {
  /** Takes one line, its end included. Never throws and never waits. */
  write(line: string): void
  /** Lines lost since the start. */
  readonly droppedLines: number
  /** Characters that the reader has not taken yet. */
  readonly waiting: number
  /** Writes what waits, for at most so long, and closes the descriptor unless it is stdout or stderr. Later lines are dropped. */
  close(timeoutMs: number): Promise<void>
}

export interface SinkOptions {
  /** How much may wait, in characters, before lines are dropped. */
  readonly maxWaiting: number
  /**
   * For so long after a write lines are gathered for the next, if they are not many; 0 = until the turn of the event
   * loop ends. A write is done by a thread, since only a thread may wait for a slow disk or reader, and waking it takes
   * ten times what making a line does.
   */
  readonly gatherMs: number
}

/** So much goes without waiting for the time to be up. */
const BATCH_CHARACTERS = 64 * 1024
/** A full pipe that does not wait is tried again after so long. */
const RETRY_MS = 5
/** How often, at the process's exit. */
const LAST_TRIES = 100

const nothing: Buffer = Buffer.alloc(0)

/**
 * The way to a descriptor. A reader that stalls costs lines, never requests: what waits for it is bounded. A line after
 * silence goes with the end of its turn of the event loop. What waits at the process's exit, also one by an error that
 * nobody caught, is written then; only a process that is killed takes with it what it had gathered.
 */
export function openSink(fd: number, options: SinkOptions): Sink {
  return new DescriptorSink(fd, options)
}

class DescriptorSink implements Sink {
  readonly #fd: number
  readonly #maxWaiting: number
  readonly #gatherMs: number
  #state: 'open' | 'closing' | 'closed' = 'open'
  #waiting = ''
  /** What is being written, or could not be; most fit into the one buffer that is kept for it. */
  #block = nothing
  readonly #kept = Buffer.allocUnsafeSlow(4 * BATCH_CHARACTERS)
  #isWriting = false
  #isPlanned = false
  #retry: NodeJS.Timeout | undefined
  #flushedAtMs = Number.NEGATIVE_INFINITY
  #onEnd: () => void = () => undefined
  droppedLines = 0

  constructor(fd: number, { maxWaiting, gatherMs }: SinkOptions) {
    this.#fd = fd
    this.#maxWaiting = maxWaiting
    this.#gatherMs = gatherMs
    process.on('exit', this.#writeRest)
  }

  write(line: string): void {
    if (this.#state !== 'open' || this.#waiting.length + this.#block.length + line.length > this.#maxWaiting) {
      this.droppedLines += 1
      return
    }
    this.#waiting += line
    if (!this.#isWriting) this.#flushInTime()
  }

  get waiting(): number {
    return this.#waiting.length + this.#block.length
  }

  async close(timeoutMs: number): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    if (!this.#isWriting) this.#flush()
    if (this.#isWriting) await this.#ended(timeoutMs)
    this.#give()
    // A thread that is still in the middle of a write has it open anyway.
    if (!this.#isWriting && this.#fd > 2) await promisify(close)(this.#fd).catch(() => undefined)
  }

  #ended(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const deadline = setTimeout(resolve, timeoutMs)
      this.#onEnd = () => {
        clearTimeout(deadline)
        resolve()
      }
    })
  }

  #flushInTime(): void {
    if (this.#waiting.length >= BATCH_CHARACTERS) this.#flush()
    if (this.#isPlanned || this.#isWriting) return
    this.#isPlanned = true
    const leftMs = this.#flushedAtMs + this.#gatherMs - performance.now()
    if (leftMs > 0) setTimeout(this.#flushPlanned, leftMs)
    else setImmediate(this.#flushPlanned)
  }

  readonly #flushPlanned = (): void => {
    this.#isPlanned = false
    if (!this.#isWriting && this.#state === 'open') this.#flush()
  }

  #flush(): void {
    if (this.#block.length === 0) this.#block = this.#takeWaiting()
    if (this.#block.length === 0) return
    this.#flushedAtMs = performance.now()
    this.#isWriting = true
    this.#writeBlock()
  }

  #takeWaiting(): Buffer {
    const text = this.#waiting
    this.#waiting = ''
    // A character takes three bytes at most. To count them exactly would be to read all of them twice.
    if (text.length * 3 > this.#kept.length) return Buffer.from(text)
    return this.#kept.subarray(0, this.#kept.write(text))
  }

  readonly #writeBlock = (): void => {
    this.#retry = undefined
    write(this.#fd, this.#block, this.#onWritten)
  }

  readonly #onWritten = (error: NodeJS.ErrnoException | null, bytes: number): void => {
    if (error !== null) {
      this.#failed(error)
      return
    }
    this.#block = this.#block.subarray(bytes)
    if (this.#block.length > 0 && this.#state !== 'closed') {
      this.#writeBlock()
      return
    }
    this.#isWriting = false
    if (this.#state === 'closing') this.#flush()
    else if (this.#waiting !== '') this.#flushInTime()
    if (!this.#isWriting) this.#onEnd()
  }

  /**
   * The gateway serves on. A reader that is gone does not come back; a full disk may, so what waits is tried again with
   * the next line, and lines are dropped once too much waits.
   */
  #failed({ code }: NodeJS.ErrnoException): void {
    if (code === 'EAGAIN' && this.#state !== 'closed') {
      this.#retry = setTimeout(this.#writeBlock, RETRY_MS)
      return
    }
    this.#isWriting = false
    if (code === 'EPIPE') this.#give()
    this.#onEnd()
  }

  /** Nothing is written any more. */
  #give(): void {
    this.#state = 'closed'
    if (this.#retry !== undefined) {
      clearTimeout(this.#retry)
      this.#isWriting = false
    }
    process.off('exit', this.#writeRest)
  }

  readonly #writeRest = (): void => {
    const isUnderWay = this.#isWriting && this.#retry === undefined
    const rest = Buffer.concat([isUnderWay ? nothing : this.#block, Buffer.from(this.#waiting)])
    try {
      for (let at = 0, tries = 0; at < rest.length; ) {
        const bytes = writeNow(this.#fd, rest.subarray(at))
        at += bytes
        if (bytes === 0 && ++tries === LAST_TRIES) return
      }
    } catch {
      // Nobody is left to be told.
    }
  }
}

/** How many bytes the system took; 0 after a short wait where it cannot take any now. */
function writeNow(fd: number, bytes: Buffer): number {
  try {
    return writeSync(fd, bytes)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
    return 0
  }
}
