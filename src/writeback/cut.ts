import type { RawHeaders } from '../http/headers.ts'
import { isOwnHeader } from './names.ts'

export interface CutHeaders {
  /** The lines that may go on to the browser, flat. */
  readonly headers: string[]
  /** How many lines were taken out. */
  readonly cut: number
}

/**
 * An answer's head without what is only between app and gateway: every line whose name begins with `X-Session-`, in
 * every spelling, command or not.
 */
export function withoutCommands(raw: RawHeaders): CutHeaders {
  const headers: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? ''
    if (!isOwnHeader(name)) headers.push(name, raw[i + 1] ?? '')
  }
  return { headers, cut: Math.ceil((raw.length - headers.length) / 2) }
}
