import type { SessionData } from '../django/json.ts'
import type { SessionCodec } from '../django/session-data.ts'

/**
 * The longest `session_data` that is fetched from a row or a file. A session within the codec's own default bound
 * (1 MiB of JSON) has at most 1.4 MB as text; what is longer stays where it is, so one row cannot fill the memory.
 */
export const MAX_STORED_TEXT_BYTES = 2 * 1024 * 1024

export type StoredSession =
  | { readonly found: true; readonly data: SessionData }
  | { readonly found: false; readonly reason: 'bad_signature' | 'malformed' }

/** Reads stored text; `undefined` stands for something that is no text at all, or too long to be fetched. */
export function readStoredText(text: string | undefined, codec: SessionCodec): StoredSession {
  if (text === undefined) return { found: false, reason: 'malformed' }
  const decoded = codec.decode(text)
  return decoded.ok ? { found: true, data: decoded.data } : { found: false, reason: decoded.reason }
}
