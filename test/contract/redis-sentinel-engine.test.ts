import { startSentinels } from '../support/redis.ts'
import { describeRedisEngine } from './redis-store.ts'

describeRedisEngine('cache on Redis behind Sentinel', async () => {
  const group = await startSentinels()
  return {
    servers: group.servers,
    masters: [await group.master()],
    [Symbol.asyncDispose]: () => group[Symbol.asyncDispose](),
  }
})
