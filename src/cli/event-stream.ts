/** One event of a stream of server-sent events (HTML, section 9.2.6). */
export interface StreamEvent {
  readonly name: string
  readonly data: string
}

/** An event is a line of the log; more is no event of ours. */
const MAX_BLOCK_LENGTH = 1024 * 1024

/**
 * The events in these bytes, as they become whole. Comments, by which the other side says that it is still there, are
 * none; nor is what has begun and not ended when the stream does.
 *
 * @throws {RangeError} when one does not end.
 */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncIterable<StreamEvent> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true })
    const blocks = text.split(/\r?\n\r?\n/)
    text = blocks.pop() ?? ''
    if (text.length > MAX_BLOCK_LENGTH) throw new RangeError(`an event of more than ${MAX_BLOCK_LENGTH} characters`)
    for (const block of blocks) {
      const event = eventOf(block)
      if (event !== undefined) yield event
    }
  }
}

function eventOf(block: string): StreamEvent | undefined {
  let name = 'message'
  const data: string[] = []
  for (const line of block.split(/\r?\n/)) {
    const [, field, value = ''] = /^([a-z]+)(?:: ?(.*))?$/.exec(line) ?? []
    if (field === 'event') name = value
    if (field === 'data') data.push(value)
  }
  return data.length === 0 ? undefined : { name, data: data.join('\n') }
}
