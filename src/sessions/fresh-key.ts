import { GatewayError } from '../errors.ts'

/** A key of 165 random bits never collides; a hundred in a row mean that the source of keys is broken. */
const MAX_TRIES = 100

/**
 * Calls `claim`, which takes a fresh key of its own each time, until one was free. `claim` gives what it stored, or
 * undefined if its key was taken.
 *
 * @throws {GatewayError} `ERR_INTERNAL` when every key was taken: better no session than one shared by two browsers.
 */
export async function claimFreshKey<T>(claim: () => Promise<T | undefined>): Promise<T> {
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const claimed = await claim()
    if (claimed !== undefined) return claimed
  }
  throw new GatewayError('ERR_INTERNAL', `no free session key after ${MAX_TRIES} tries`)
}
