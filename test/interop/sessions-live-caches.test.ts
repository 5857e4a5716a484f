import { after } from 'node:test'
import { describeLiveScenarios } from './live-scenarios.ts'
import { cacheKinds, createStoreServers, sharedPlaces } from './stores.ts'

const servers = createStoreServers()
after(() => servers[Symbol.asyncDispose]())

for (const place of sharedPlaces('django', cacheKinds)) describeLiveScenarios(place, servers)
