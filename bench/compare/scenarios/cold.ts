import { requireServer } from '../../../test/support/requirement.ts'
import { type BenchStore, benchStores } from '../../engines/stores.ts'
import { logInAll, requireSessions } from '../arena.ts'
import { enter, enterNginx, GATEWAY, home, type Scenario } from '../scenario.ts'

/** What each engine is called behind `cold-`. */
const labels: Readonly<Record<string, string>> = {
  'cache on Redis': 'redis',
  'cache on memcached': 'memcached',
  'db on SQLite': 'sqlite',
  'db on PostgreSQL': 'postgres',
  'cached_db on PostgreSQL and Redis': 'cached_db',
  file: 'file',
  signed_cookies: 'signed_cookies',
}

/** What `bench -- profile` takes for `--engine`. */
export const storeLabels: readonly string[] = Object.values(labels)

/** @throws {TypeError} if there is none. */
export function storeLabelled(label: string): BenchStore {
  const store = benchStores.find(({ name }) => labels[name] === label)
  if (store === undefined) throw new TypeError(`no store is called ${label}`)
  return store
}

/** The store is asked for every request: how it is while the local cache is off, or its line of notices is down. */
export const cold: readonly Scenario[] = benchStores.flatMap((store) => {
  const label = labels[store.name]
  return label === undefined ? [] : [coldOn(store, label)]
})

function coldOn(store: BenchStore, label: string): Scenario {
  const isGoal = label === 'redis'
  return {
    name: `cold-${label}`,
    about: `${store.name}, local cache off: the session is read from the store for each request`,
    isMain: isGoal,
    isQuick: isGoal,
    async open({ arena, stack, leaveOut }) {
      const lack = store.needs.map((name) => requireServer(name).skip).find((skip) => skip !== false)
      if (lack !== undefined) {
        leaveOut(`cold-${label}`, lack)
        return []
      }
      const place = await store.open(arena.servers, await arena.folderFor(`cold ${label}`))
      const session = [...place.session, 'local_cache: null']
      const gateway = stack.use(await arena.openGateway(`cold ${label}`, { session, sections: place.sections }))
      const target = { ...gateway, cookies: await logInAll(() => gateway.logIn()) }
      await requireSessions(GATEWAY, target)
      return [enterNginx(arena, home, target.cookies), enter(GATEWAY, target, home)]
    },
  }
}
