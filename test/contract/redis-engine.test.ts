import { startRedis } from '../support/redis.ts'
import { describeRedisEngine } from './redis-store.ts'

describeRedisEngine('cache on Redis', async () => {
  const server = await startRedis()
  return {
    servers: server.servers,
    masters: [server],
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
})
