import { after } from 'node:test'
import { describeSharedSessions } from './shared-sessions.ts'
import { createStoreServers, databaseKinds, sharedPlaces } from './stores.ts'

const servers = createStoreServers()
after(() => servers[Symbol.asyncDispose]())

for (const place of sharedPlaces('django', databaseKinds)) describeSharedSessions(place, servers)
