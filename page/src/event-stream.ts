/** An event as a server sends it (HTML, section 9.2): its name, and its lines of data together. */
export interface ServerEvent {
  readonly name: string
  readonly data: string
}

/** More than that without an end is no event of ours. */
const MAX_CHARACTERS = 1024 * 1024

/**
 * Reads events from pieces of text that are cut anywhere. `EventSource` would do it too, and cannot send the token.
 * Comments, ids and retry times are left out.
 *
 * @throws {RangeError} when an event does not end.
 */
export function createEventReader(onEvent: (event: ServerEvent) => void): (piece: string) => void {
  let rest = ''
  return function read(piece) {
    rest += piece
    const blocks = rest.split(/\r?\n\r?\n/)
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const event = eventOf(block)
      if (event !== undefined) onEvent(event)
    }
    if (rest.length > MAX_CHARACTERS) throw new RangeError('an event does not end')
  }
}

function eventOf(block: string): ServerEvent | undefined {
  const fields = block.split(/\r?\n/).map((line) => /^(event|data)(?:: ?(.*))?$/s.exec(line))
  const values = (wanted: string): string[] =>
    fields.filter((field) => field?.[1] === wanted).map((field) => field?.[2] ?? '')
  const data = values('data')
  return data.length === 0 ? undefined : { name: values('event').at(-1) ?? 'message', data: data.join('\n') }
}
