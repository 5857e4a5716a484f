import { type Readable, Transform } from 'node:stream'
import { GatewayError } from '../errors.ts'
import type { Visit } from './visit.ts'

/**
 * The request's body on its way up, counted; over the route's limit it fails, and the upstream request with it. A body
 * that announces its length was refused before; this is for the chunked ones, whose length nobody knows.
 */
export function limitBody(visit: Visit, maxBytes: number | undefined): Readable {
  const limit = maxBytes ?? Infinity
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      visit.exchange.requestBodyBytes += chunk.length
      visit.onChunk(chunk.length)
      if (visit.exchange.requestBodyBytes > limit) {
        done(new GatewayError('ERR_BODY_TOO_LARGE', `the body is over the route's limit of ${limit} bytes`))
      } else {
        done(null, chunk)
      }
    },
  })
  // It can fail before the upstream has a connection, and so before anybody listens; that must not end the process.
  counter.on('error', () => undefined)
  // A browser that goes away in mid-body must not look like one that has finished: destroy, never end.
  visit.body.once('close', () => {
    if (!visit.body.readableEnded)
      counter.destroy(new GatewayError('ERR_REQUEST_INVALID', 'the browser left in mid-body'))
  })
  counter.once('close', () => visit.body.unpipe(counter))
  visit.body.pipe(counter)
  visit.pace?.watchBody(visit, visit.body, counter)
  return counter
}
