import { GatewayError } from '../errors.ts'

/** Why a command is refused: the closed set that the log and the metric know. */
export type RefusalReason =
  /** It cannot be read, or it can be read in two ways. */
  | 'malformed'
  /** The route's `writeback` does not name it. */
  | 'not_allowed'
  /** The commands, the stored session or its assertion would be over their limit. */
  | 'too_large'
  /** More keys than one answer may change. */
  | 'too_many_keys'
  /** A name that no app may touch, whatever the configuration says. */
  | 'reserved'

export interface Refusal {
  readonly reason: RefusalReason
  /** The response header that is to blame. */
  readonly header: string
  /** The session key that is to blame, where it is one key. */
  readonly key?: string
}

/** Key names come from the app and may be as long as a header; a log line needs no more of them than this. */
const MAX_NAME_CHARACTERS = 100

/**
 * The error that an app's answer ends in when one of its commands is refused: nothing is stored, and nothing of the
 * answer goes out. It names header, key and reason, and never a value.
 */
export function refusal({ reason, header, key }: Refusal): GatewayError {
  const facts = { reason, header: clipped(header), ...(key === undefined ? {} : { key: clipped(key) }) }
  const subject = facts.key === undefined ? facts.header : `${facts.header} for ${JSON.stringify(facts.key)}`
  return new GatewayError('ERR_WRITEBACK_REFUSED', `${subject}: ${reason}`, {
    proxyError: 'http_protocol_error',
    facts,
  })
}

function clipped(name: string): string {
  return name.length <= MAX_NAME_CHARACTERS ? name : `${name.slice(0, MAX_NAME_CHARACTERS)}…`
}
