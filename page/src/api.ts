import { createEventReader, type ServerEvent } from './event-stream.ts'

/** The gateway has said no, or nothing. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** 0: there was no answer. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Asks the operator's listener that the page came from. Everything that is shown comes this way. */
export interface Api {
  /** @throws {ApiError} */
  get<T>(path: string, signal?: AbortSignal): Promise<T>
  /** @throws {ApiError} */
  post<T>(path: string, body: unknown): Promise<T>
  /** Ends when the stream does. @throws {ApiError} */
  watch(path: string, options: WatchOptions): Promise<void>
}

export interface WatchOptions {
  readonly signal: AbortSignal
  readonly onOpen: () => void
  readonly onEvent: (event: ServerEvent) => void
}

/** `token`: undefined with a certificate. `onRefused`: neither, or no longer, taken. */
export function createApi(token: string | undefined, onRefused: () => void): Api {
  const identity = token === undefined ? {} : { Authorization: `Bearer ${token}` }

  async function ask(path: string, options: RequestInit): Promise<Response> {
    const headers = { ...options.headers, ...identity }
    const how = { ...options, headers, credentials: 'omit', cache: 'no-store', redirect: 'error' } as const
    const response = await fetch(path, how).catch((error: unknown) => {
      if (options.signal?.aborted === true) throw error
      throw new ApiError(0, 'The gateway does not answer.')
    })
    if (response.ok) return response
    if (response.status === 401) onRefused()
    throw new ApiError(response.status, await detailOf(response))
  }

  return {
    async get<T>(path: string, signal?: AbortSignal) {
      const response = await ask(path, signal === undefined ? {} : { signal })
      return (await response.json()) as T
    },
    async post<T>(path: string, body: unknown) {
      const headers = { 'Content-Type': 'application/json' }
      const response = await ask(path, { method: 'POST', headers, body: JSON.stringify(body) })
      return (await response.json()) as T
    },
    async watch(path, { signal, onOpen, onEvent }) {
      const { body } = await ask(path, { signal })
      onOpen()
      const read = createEventReader(onEvent)
      for await (const piece of (body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) read(piece)
    },
  }
}

/** The gateway's own words for it (RFC 9457). */
async function detailOf(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => undefined)
  const detail = typeof body === 'object' && body !== null && 'detail' in body ? body.detail : undefined
  return typeof detail === 'string' ? detail : `The gateway answered with status ${response.status}.`
}

/** What went wrong, in words for the operator. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
