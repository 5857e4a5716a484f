import { Readable } from 'node:stream'
import { GatewayError } from '../errors.ts'

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
  let received = 0
  let isLetGo = false
  const body = new Readable({
    read: () => void source.resume(),
    destroy(error, done) {
      letGo()
      done(error)
    },
  })
  // undici listens for errors only while it sends, and nobody at all does once the source was let go.
  body.on('error', () => {})
  source.on('error', () => {})

  function onData(chunk: Buffer): void {
    received += chunk.length
    // undici would cut the surplus off with an error of its own; here it is known whose fault it is.
    if (options.contentLength !== undefined && received > options.contentLength) {
      fail(wrongLength())
      return
    }
    options.onProgress()
    if (!body.push(chunk)) source.pause()
  }
  function onEnd(): void {
    if (isLetGo) return
    // With nothing sent yet undici would otherwise write `content-length: 0`: a complete request that nobody made.
    if (options.contentLength !== undefined && received < options.contentLength) {
      fail(wrongLength())
      return
    }
    letGo()
    body.push(null)
  }
  function fail(error: unknown): void {
    if (isLetGo) return
    letGo()
    options.onFailure(error)
  }
  function onClose(): void {
    fail(new GatewayError('ERR_REQUEST_INVALID', 'the client went away within the body'))
  }
  function letGo(): void {
    isLetGo = true
    source.off('data', onData).off('end', onEnd).off('error', fail).off('close', onClose)
    source.pause()
  }

  source.on('end', onEnd).on('error', fail).on('close', onClose)
  // Attaching 'data' starts the flow, and nothing may be read before undici asks.
  source.pause()
  source.on('data', onData)
  if (source.readableEnded) process.nextTick(onEnd)
  else if (source.destroyed) process.nextTick(source.errored ? () => fail(source.errored) : onClose)
  return body
}

function wrongLength(): GatewayError {
  return new GatewayError('ERR_REQUEST_INVALID', 'the body has not the length that the request announced')
}
