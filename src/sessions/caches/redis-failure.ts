/**
 * What became of a call that failed, which decides what may follow:
 *
 * - `refused`: the server said no before it did anything, and would again.
 * - `auth`: it does not let us in. Asking again at once is no use, and looks like guessing.
 * - `readonly`: it is no master any more. Nothing was written; there is another one.
 * - `wrong_type`: something that is no string lies under the key.
 * - `no_script`: it does not know the script (any more). Nothing was done.
 * - `garbled`: an answer of another kind than the command has. The connection cannot be trusted.
 * - `unsent`: nothing left this process.
 * - `lost`: the connection ended in between; whether it was done is unknown.
 * - `timeout`: no answer in time; whether it was done is unknown, or will be.
 */
export type RedisFailureKind =
  | 'refused'
  | 'auth'
  | 'readonly'
  | 'wrong_type'
  | 'no_script'
  | 'garbled'
  | 'unsent'
  | 'lost'
  | 'timeout'

/** A call to Redis failed: `message` is for the log, and holds neither keys nor values. */
export class RedisFailure extends Error {
  override readonly name = 'RedisFailure'
  readonly kind: RedisFailureKind
  /** The first word of the server's answer (`LOADING`), the system's name of the error (`ECONNREFUSED`), or the kind. */
  readonly code: string

  constructor(kind: RedisFailureKind, message: string, { code, cause }: { code?: string; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.kind = kind
    this.code = code ?? kind.toUpperCase()
  }
}

interface Answer {
  readonly kind: RedisFailureKind
  readonly text: string
}

const NEEDS_CLUSTER = 'it belongs to a cluster: the backend must be redis-cluster'

/** What the first words of a server's refusals mean. `ERR` stands for all the rest. */
const answers: Readonly<Record<string, Answer>> = {
  LOADING: { kind: 'refused', text: 'it is still loading its data' },
  NOAUTH: { kind: 'auth', text: 'it wants a password' },
  WRONGPASS: { kind: 'auth', text: 'it refuses the user or the password' },
  NOPERM: { kind: 'refused', text: "the user's ACL does not permit a command or a key that is needed" },
  READONLY: { kind: 'readonly', text: 'it is a read-only replica' },
  OOM: { kind: 'refused', text: 'its memory is full (maxmemory)' },
  MISCONF: { kind: 'refused', text: 'it takes no writes because it cannot save to disk' },
  NOREPLICAS: { kind: 'refused', text: 'it takes no writes because too few replicas follow it' },
  MASTERDOWN: { kind: 'refused', text: 'it is a replica that lost its master' },
  CLUSTERDOWN: { kind: 'refused', text: 'the cluster is down: a part of its slots has no server' },
  TRYAGAIN: { kind: 'refused', text: 'the slot is on its way to another server' },
  MOVED: { kind: 'refused', text: NEEDS_CLUSTER },
  ASK: { kind: 'refused', text: NEEDS_CLUSTER },
  CROSSSLOT: { kind: 'refused', text: NEEDS_CLUSTER },
  BUSY: { kind: 'refused', text: 'it is busy with a script of somebody' },
  WRONGTYPE: { kind: 'wrong_type', text: 'something that is no string lies under the key' },
  NOSCRIPT: { kind: 'no_script', text: 'it lost the script' },
}

/** What sentences that begin with `ERR` mean, as far as an operator can do something about it. */
const sentences: readonly (readonly [start: string, text: string])[] = [
  ['ERR DB index is out of range', 'it has no database of that number ("databases" in its redis.conf)'],
  ['ERR SELECT is not allowed in cluster mode', NEEDS_CLUSTER],
  ['ERR The user executing the script', "the user's ACL does not permit a command or a key that a script needs"],
  ['ERR This instance has cluster support disabled', 'it belongs to no cluster: the backend must be redis'],
]

/** The failure that an error of ioredis, of the system or of ours stands for. */
export function redisFailure(error: unknown): RedisFailure {
  if (error instanceof RedisFailure) return error
  if (!(error instanceof Error)) return new RedisFailure('lost', 'the driver failed')
  const { lastNodeError } = error as { readonly lastNodeError?: unknown }
  if (lastNodeError instanceof Error) return redisFailure(lastNodeError)
  if (error.name === 'ReplyError') return refusal(error.message)
  // ioredis has no codes of its own. What is not recognised here counts as lost, from which nothing is sent again but reads.
  if (error.message.startsWith("Stream isn't writeable") || error.message.startsWith("Cluster isn't ready"))
    return new RedisFailure('unsent', 'the connection is not ready')
  if (/^(Command timed out|timeout)$/.test(error.message))
    return new RedisFailure('timeout', 'it gave no answer in time')
  // A cluster sends a command on, from server to server, and gives up at some point: each of them refused it.
  const redirected = /^Too many Cluster redirections\. Last error: ReplyError: ([A-Z]+)/.exec(error.message)
  if (redirected)
    return new RedisFailure('refused', 'its servers send us in circles', { code: redirected[1] ?? 'MOVED' })
  const code = codeOf(error)
  // Without a code it is ioredis' own: of a reply that it did not expect it repeats all, values too.
  if (code === undefined) return new RedisFailure('lost', 'the connection was lost')
  return new RedisFailure('lost', `the connection failed: ${code}`, { code, cause: error })
}

/**
 * The driver's own error is left behind: it carries the command with its key and value, and for the first command of a
 * connection the password. The server's words are too, since some repeat what they were sent.
 */
function refusal(message: string): RedisFailure {
  // Before Redis 7 a script's error is wrapped: `ERR Error running script (…): @user_script:1: -OOM command not allowed…`.
  const [, first = 'ERR'] = /^-?([A-Z][A-Z0-9]*)\b/.exec(message) ?? []
  const [, inner = first] =
    first === 'ERR' ? (/^ERR Error running script .*[ :]-?([A-Z]{3,})[ ]/.exec(message) ?? []) : []
  const code = Object.hasOwn(answers, inner) ? inner : first
  const { kind, text } = answers[code] ?? { kind: 'refused', text: errorText(message) }
  return new RedisFailure(kind, text, { code })
}

/** The words of an error without a code of its own, as far as they cannot hold an argument. */
function errorText(message: string): string {
  const [, text] = sentences.find(([start]) => message.startsWith(start)) ?? []
  if (text !== undefined) return text
  const [known = 'ERR'] =
    /^ERR (?:unknown command|max number of clients reached|value is not an integer|invalid expire time|Client sent AUTH, but no password is set|AUTH .{0,40} called without any password|syntax error)/.exec(
      message,
    ) ??
    /^[A-Z][A-Z0-9]*/.exec(message) ??
    []
  return `it answered with the error '${known}'`
}

function codeOf(error: Error): string | undefined {
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : undefined
}
