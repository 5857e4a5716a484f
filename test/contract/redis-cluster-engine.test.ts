import { startCluster } from '../support/redis.ts'
import { describeRedisEngine } from './redis-store.ts'

describeRedisEngine('cache on a Redis cluster', startCluster)
