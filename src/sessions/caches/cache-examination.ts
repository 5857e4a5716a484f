import { randomBytes } from 'node:crypto'
import { type Diagnosis, fault, good } from '../../lib/diagnosis.ts'
import type { SessionCache } from './session-cache.ts'

/**
 * Whether a cache answers, how fast, and whether it takes a value, by the very calls that sessions are kept with. The value
 * lies under a key that no session has, for two seconds at most, and is taken away at once.
 *
 * @param keyPrefix What its keys begin with.
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when it cannot be reached, or refuses.
 */
export async function examineCache(cache: SessionCache, name: string, keyPrefix: string): Promise<Diagnosis[]> {
  const startedAt = performance.now()
  await cache.ping()
  const connectedMs = performance.now() - startedAt
  const key = `${keyPrefix}doctor${randomBytes(12).toString('hex')}`
  const askedAt = performance.now()
  await cache.add(key, Buffer.from('0'), 2)
  const value = await cache.get(key)
  if (value === undefined) {
    return [
      fault(`${name} does not have what was put there a moment ago`, 'is it full, or are there several behind it?'),
    ]
  }
  await cache.remove(key, value.stamp)
  const latencyMs = (performance.now() - askedAt) / 3
  return [
    good(`${name} answers in ${latencyMs.toFixed(1)} ms (${connectedMs.toFixed(1)} ms with connecting)`),
    good(`${name} takes, gives and deletes a value under ${JSON.stringify(keyPrefix)} (it was taken back)`),
  ]
}
