import type { Readable } from 'node:stream'
import type { Sink } from '../observe/sink.ts'

/** When so many characters wait for the reader of our own output, the worker is not read either. */
const FULL_CHARACTERS = 256 * 1024
/** How soon it is looked at again. */
const LOOK_MS = 5

/**
 * Copies the lines of a worker, whole ones only: a block of several KiB that two processes write into one pipe would be
 * cut in two by the other's. A reader that stalls stops the copying, so that the worker itself drops lines, and counts them.
 */
export function relayLines(output: Readable | null, sink: Pick<Sink, 'write' | 'waiting'>): void {
  if (output === null) return
  let begun = ''
  output.setEncoding('utf8')
  // A worker that was killed leaves half a line, which nobody could read.
  output.on('data', (text: string) => {
    const end = text.lastIndexOf('\n') + 1
    if (end === 0) {
      begun += text
      return
    }
    sink.write(begun + text.slice(0, end))
    begun = text.slice(end)
    if (sink.waiting >= FULL_CHARACTERS) waitForReader(output, sink)
  })
  output.on('error', () => undefined)
}

function waitForReader(output: Readable, sink: Pick<Sink, 'waiting'>): void {
  output.pause()
  const look = setInterval(() => {
    if (sink.waiting >= FULL_CHARACTERS) return
    clearInterval(look)
    output.resume()
  }, LOOK_MS)
  look.unref()
  output.once('close', () => clearInterval(look))
}
