import { randomUUID } from 'node:crypto'

/**
 * A request id that somebody else gave, if it can stand in a header, a log line and a URN (`urn:request:<id>`) as it is:
 * 1 to 128 letters, digits and `. _ : = + / @ -`.
 */
export function parseRequestId(text: string): string | undefined {
  return /^[A-Za-z0-9._:=+/@-]{1,128}$/.test(text) ? text : undefined
}

/** A new request id: a UUID of version 4. */
export function createRequestId(random: () => string = randomUUID): string {
  return random()
}
