import { after } from 'node:test'
import { describeLiveScenarios } from './live-scenarios.ts'
import { createStoreServers, databaseKinds, sharedPlaces } from './stores.ts'

const servers = createStoreServers()
after(() => servers[Symbol.asyncDispose]())

for (const place of sharedPlaces('django32', ['db on SQLite', ...databaseKinds, 'cache in django-redis'])) {
  describeLiveScenarios(place, servers)
}
