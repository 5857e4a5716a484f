import { after } from 'node:test'
import { describeLiveScenarios } from './live-scenarios.ts'
import { createStoreServers, databaseKinds, localKinds, sharedPlaces } from './stores.ts'

const servers = createStoreServers()
after(() => servers[Symbol.asyncDispose]())

for (const place of sharedPlaces('django', [...localKinds, ...databaseKinds])) describeLiveScenarios(place, servers)
