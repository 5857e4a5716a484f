import type { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from 'node:tls'
import type { Agent, request } from 'undici'
import { type CliContext, CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { wordsOf } from './failure-words.ts'
import { findOperator, type OperatorPlace, type PlaceOptions } from './operator-place.ts'
import { printable } from './printable.ts'

const CONNECT_MS = 5_000
/** A gateway whose store is slow answers within seconds; what looks into each session takes as long as it takes. */
const DEADLINE_MS = 30_000
/** It says every 15 s that it is still there. */
const SILENCE_MS = 45_000
/** A thousand sessions with all their keys are less. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024
/** A password, or a page of something else: told of a stranger's answer is no more than this. */
const MAX_DETAIL = 300
/** The gateway's own words may name each mistake of a request; a stranger's may be as long as an answer. */
const MAX_WORDS = 4_000

export interface Asked {
  /** With one, it is a POST. */
  readonly body?: Readonly<Record<string, unknown>>
  /** Ends the wait. */
  readonly signal?: AbortSignal
  /** It may take minutes. Default false. */
  readonly isLong?: boolean
}

/** A running gateway, by its API. */
export interface OperatorClient extends AsyncDisposable {
  /** For messages. */
  readonly name: string
  /**
   * What it answers; undefined: there is no such thing.
   *
   * @param path with its query
   * @throws {CommandError} with the way out, if it does not answer, or not so.
   */
  ask(path: string, asked?: Asked): Promise<unknown>
  /** The bytes of a stream, until it ends. @throws {CommandError} as above, and when it breaks off. */
  stream(path: string, signal: AbortSignal): AsyncIterable<Buffer>
}

/** Reads where and with what token; nothing is asked yet. @throws {CommandError} if that is not told. */
export async function openOperatorClient(context: CliContext, options: PlaceOptions): Promise<OperatorClient> {
  const place = await findOperator(context, options)
  const { name, socketPath, certificate } = place
  // Only here: no other command should wait for it to load.
  const undici = await import('undici')
  const connect = {
    timeout: CONNECT_MS,
    ...(socketPath === undefined ? {} : { socketPath }),
    ...(certificate === undefined ? {} : pinned(certificate)),
  }
  const dispatcher = new undici.Agent({ connect })
  const client = new Client(place, { dispatcher, request: undici.request })
  return {
    name,
    ask: (path, asked = {}) => client.ask(path, asked),
    stream: (path, signal) => client.stream(path, signal),
    // Not `close`: that waits for what was asked, which nobody wants any more.
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  }
}

/**
 * That certificate and no other, whatever name it has: the address is our own configuration's, often a loopback one. Who
 * has issued it is not believed: with names not looked at, any certificate of a public authority would do.
 */
function pinned(certificate: X509Certificate) {
  const checkServerIdentity = (_: string, { raw }: PeerCertificate): Error | undefined =>
    raw.equals(certificate.raw) ? undefined : new Error('it shows another certificate than the configuration has')
  return { ca: certificate.toString(), allowPartialTrustChain: true, checkServerIdentity }
}

type Answer = Awaited<ReturnType<typeof request>>

class Client {
  readonly #place: OperatorPlace
  readonly #dispatcher: Agent
  readonly #request: typeof request

  constructor(place: OperatorPlace, sending: { readonly dispatcher: Agent; readonly request: typeof request }) {
    this.#place = place
    this.#dispatcher = sending.dispatcher
    this.#request = sending.request
  }

  async ask(path: string, asked: Asked): Promise<unknown> {
    const answer = await this.#send(path, asked)
    const text = await this.#read(answer, asked.signal)
    if (answer.statusCode === 200) return this.#json(text, answer)
    if (answer.statusCode === 404 || answer.statusCode === 405) await this.#judgeAbsence(path, text)
    if (answer.statusCode === 404) return undefined
    throw this.#refusal(answer, detailOf(text))
  }

  async *stream(path: string, signal: AbortSignal): AsyncIterable<Buffer> {
    const answer = await this.#send(path, { signal })
    if (answer.statusCode !== 200) {
      const text = await this.#read(answer, signal)
      if (answer.statusCode === 404 || answer.statusCode === 405) await this.#judgeAbsence(path, text)
      throw this.#refusal(answer, detailOf(text))
    }
    if (mediaTypeOf(answer) !== 'text/event-stream') {
      answer.body.on('error', () => undefined).destroy()
      throw this.#stranger(answer)
    }
    try {
      yield* answer.body
    } catch (error) {
      throw signal.aborted ? error : this.#failure(error)
    }
  }

  async #send(path: string, { body, signal, isLong = false }: Asked): Promise<Answer> {
    const { url, token } = this.#place
    try {
      return await this.#request(`${url}${path}`, {
        dispatcher: this.#dispatcher,
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          accept: 'application/json, text/event-stream',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        headersTimeout: isLong ? 0 : DEADLINE_MS,
        bodyTimeout: SILENCE_MS,
        ...(signal && { signal }),
      })
    } catch (error) {
      throw signal?.aborted === true ? error : this.#failure(error)
    }
  }

  async #read({ body }: Answer, signal: AbortSignal | undefined): Promise<string> {
    const chunks: Buffer[] = []
    let bytes = 0
    try {
      for await (const chunk of body) {
        bytes += chunk.length
        if (bytes > MAX_ANSWER_BYTES) throw new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`)
        chunks.push(chunk)
      }
    } catch (error) {
      throw signal?.aborted === true ? error : this.#failure(error)
    }
    return Buffer.concat(chunks).toString('utf8')
  }

  #json(text: string, answer: Answer): unknown {
    try {
      if (mediaTypeOf(answer) === 'application/json') return JSON.parse(text)
    } catch {
      // Told below.
    }
    throw this.#stranger(answer)
  }

  /** A 404 may be the thing that is asked for, or the address: what the gateway itself says there is decides. */
  async #judgeAbsence(path: string, text: string): Promise<void> {
    const { name } = this.#place
    if (/^there is no \/api/.test(text))
      throw failed(
        `the gateway at ${name} has no /api: its configuration names no admin.token; add one, and it is there after a reload`,
      )
    const answer = await this.#send('/api/openapi.json', {})
    const document = await this.#read(answer, undefined)
    const known = answer.statusCode === 200 ? parsedDocument(document) : undefined
    if (known === undefined)
      throw failed(`what answers at ${name} is no operator’s listener of a gateway: ${isElsewhere}`)
    const [pathname = ''] = path.split('?', 1)
    if (known.paths.some((pattern) => isPath(pattern, pathname))) return
    throw failed(
      `the gateway at ${name} is of version ${printable(known.version)}, which has no ${printable(pathname)}: update it, or use the sessiongate of that version`,
    )
  }

  #refusal({ statusCode: status, headers }: Answer, detail: string): CommandError {
    const { name } = this.#place
    // A gateway that answers browsers there, and any other server, wants something else than this.
    if (status === 401 && !/^bearer\b/i.test(String(headers['www-authenticate'])))
      return failed(`what answers at ${name} is no operator’s listener of a gateway (401): ${isElsewhere}`)
    if (status === 401)
      return failed(
        `the gateway at ${name} does not take this token: it wants the admin.token of the configuration that it runs with`,
      )
    if (status === 403 || status === 421) return failed(`${name} refuses to answer here: ${detail}; ${isElsewhere}`)
    if (status === 400 || status === 413) return new CommandError(exitCodes.usage, detail)
    if (status === 409) return failed(detail)
    return failed(`${name} answers ${status}: ${detail}`)
  }

  #stranger({ statusCode, headers }: Answer): CommandError {
    const type = printable(String(headers['content-type'] ?? 'no type')).slice(0, MAX_DETAIL)
    return failed(`what answers at ${this.#place.name} is no JSON (${statusCode}, ${type}): ${isElsewhere}`)
  }

  #failure(error: unknown): CommandError {
    const { name } = this.#place
    const code = codeOf(error)
    switch (code) {
      case 'ECONNREFUSED':
      case 'ENOENT':
      case 'UND_ERR_CONNECT_TIMEOUT':
      case 'EHOSTUNREACH':
        return failed(
          `no gateway answers at ${name} (${code}): start it with sessiongate serve, or say with --url which is meant`,
        )
      case 'EACCES':
        return failed(`${name} may not be opened by this user (${code})`)
      case 'UND_ERR_HEADERS_TIMEOUT':
      case 'UND_ERR_BODY_TIMEOUT':
        return failed(`the gateway at ${name} has said nothing for too long: it stands still, or the network does`)
      case 'UND_ERR_SOCKET':
      case 'ECONNRESET':
        return failed(
          `the gateway at ${name} has closed the connection: it has ended, or speaks another protocol there`,
        )
      default:
        return failed(`asking ${name} failed: ${printable(wordsOf(error))}`)
    }
  }
}

const isElsewhere = 'admin.listen in the gateway’s configuration is the address to ask'

function failed(message: string): CommandError {
  return new CommandError(exitCodes.failed, message)
}

function mediaTypeOf({ headers }: Answer): string {
  const [type = ''] = String(headers['content-type'] ?? '').split(';')
  return type.trim().toLowerCase()
}

/** The code of the innermost failure that has one. */
function codeOf(error: unknown): string | undefined {
  for (let next = error; next instanceof Error; next = next.cause)
    if ('code' in next && typeof next.code === 'string') return next.code
  return undefined
}

/** The words of a problem document (RFC 9457), or of whatever it is, in short. */
function detailOf(text: string): string {
  let detail: unknown
  try {
    const problem: unknown = JSON.parse(text)
    if (typeof problem === 'object' && problem !== null && 'detail' in problem) detail = problem.detail
  } catch {
    // Told as it is.
  }
  return printable(
    typeof detail === 'string' ? detail.slice(0, MAX_WORDS) : text.trim().slice(0, MAX_DETAIL),
  ).replaceAll('\\u000a', '; ')
}

function parsedDocument(text: string): { readonly version: string; readonly paths: readonly string[] } | undefined {
  try {
    const { info, paths } = JSON.parse(text)
    return { version: String(info.version), paths: Object.keys(paths) }
  } catch {
    return undefined
  }
}

/** Whether that is an address of the kind that the document names, where `{…}` stands for one segment. */
function isPath(pattern: string, path: string): boolean {
  const [wanted, given] = [pattern.split('/'), path.split('/')]
  return wanted.length === given.length && wanted.every((step, at) => step.startsWith('{') || step === given[at])
}
