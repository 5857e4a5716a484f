import { after, test } from 'node:test'
import { contend } from './contest.ts'
import { createStoreServers, databaseKinds, sharedPlaces } from './stores.ts'

const servers = createStoreServers()
after(() => servers[Symbol.asyncDispose]())

const places = [
  ...sharedPlaces('django', [...databaseKinds, 'cache in RedisCache', 'cache in PyMemcacheCache']),
  ...sharedPlaces('django32', [...databaseKinds, 'cache in django-redis']),
]

for (const place of places) {
  test(`a stock Django view changes a session while the gateway merges into it: ${place.title}`, {
    skip: place.skip,
    timeout: 120_000,
  }, async (t) => {
    const settings = await place.open(servers)
    await using _project = await contend({ python: place.python, settings, isAtomic: false }, t)
  })
}
