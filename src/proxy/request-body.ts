import { Readable } from 'node:stream'
import { BodySource } from './body-source.ts'

export interface RequestBodyOptions {
  /** What the request's head promised, in bytes; `undefined` if it promised nothing. */
  readonly contentLength: number | undefined
  /** A piece of the body came from the client. */
  readonly onProgress: () => void
  /** The body will not come whole; called at most once, and before anything of it looks complete. */
  readonly onFailure: (error: unknown) => void
}

/**
 * Stands between the client's body and undici, which destroys whatever body it was given when an exchange ends early:
 * with the client's own stream that would cut the connection on which the early answer is still to be sent.
 * Destroying this one only lets go of the source.
 */
export function createRequestBody(source: Readable, options: RequestBodyOptions): Readable {
  const body = new Readable({
    read: () => taken.resume(),
    destroy(error, done) {
      taken.letGo()
      done(error)
    },
  })
  // undici listens for errors only while it sends.
  body.on('error', () => {})
  const taken = new BodySource(source, options.contentLength, {
    onChunk(chunk) {
      options.onProgress()
      if (!body.push(chunk)) taken.pause()
    },
    onEnd: () => void body.push(null),
    onFailure: options.onFailure,
  })
  return body
}
