import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { benchStores, createServers, type Servers } from '../engines/stores.ts'
import { type App, openApp, USER_NAME } from './app.ts'
import { cpuSecondsOf, readTicksPerSecond } from './cpu-time.ts'
import { type Gateway, type GatewayOptions, openGateway } from './gateway.ts'
import { CONNECTIONS, type Target } from './load.ts'
import type { Contestant, Peer, RunningPeer } from './peer.ts'
import { nginx } from './peers/nginx.ts'

/** How a gateway differs from the usual one, which has its sessions in Redis. */
export type GatewayChange = Partial<Pick<GatewayOptions, 'session' | 'sections' | 'listen' | 'routes' | 'nodeArgs'>>

/** A started peer, with what it says of itself. */
export interface Rival extends Contestant {
  readonly peer: Peer
  readonly version: string
}

/** What all scenarios of a run share. */
export interface Arena extends AsyncDisposable {
  readonly app: App
  readonly servers: Servers
  /** nginx that only proxies, asked as the people of {@link people}, whose cookies it does not look at. */
  readonly nginx: Rival
  /** A gateway as it is by default, started once, for scenarios that need no other. */
  readonly gateway: Contestant & Gateway
  /** The cookies of 64 people who are logged in wherever sessions lie in the run's Redis. */
  readonly people: readonly string[]
  folderFor(name: string): Promise<string>
  /** The options of a gateway beside the usual one. */
  optionsFor(name: string, change: GatewayChange): Promise<GatewayOptions>
  openGateway(name: string, change: GatewayChange): Promise<Gateway>
  /** @throws {Error} if it does not hold sessions as it should. */
  openRival(peer: Peer): Promise<Rival & AsyncDisposable>
}

export async function openArena(): Promise<Arena> {
  await using stack = new AsyncDisposableStack()
  const root = await mkdtemp(join(tmpdir(), 'sessiongate-compare-'))
  stack.defer(() => rm(root, { recursive: true, force: true }))
  // Nothing is deferred for who is interrupted.
  process.once('exit', () => rmSync(root, { recursive: true, force: true }))
  const servers = stack.use(createServers())
  const app = stack.use(await openApp(root))
  const ticksPerSecond = readTicksPerSecond()

  const folderFor = async (name: string): Promise<string> => {
    const folder = join(root, name.replaceAll(/[^A-Za-z0-9]+/g, '-'))
    // Apache's threads are somebody else's, and look for their files in there.
    await mkdir(folder, { recursive: true, mode: 0o755 })
    return folder
  }
  const optionsFor = async (name: string, change: GatewayChange): Promise<GatewayOptions> => {
    const folder = await folderFor(name)
    return { folder, name: 'gateway', appOrigin: app.origin, ...(await redisPlace(servers)), ...change }
  }
  const openRival = async (peer: Peer): Promise<Rival & AsyncDisposable> => {
    const folder = await folderFor(peer.name)
    const { redisPort, postgresUrl } = servers
    const running = await peer.start({ folder, appOrigin: app.origin, redisPort, postgresUrl })
    try {
      return await rivalOf(peer, running, ticksPerSecond)
    } catch (error) {
      await running[Symbol.asyncDispose]()
      throw error
    }
  }

  const bare = stack.use(await openRival(nginx))
  const gateway = stack.use(await openGateway(await optionsFor('gateway', {})))
  const people = await logInAll(() => gateway.logIn())
  await requireSessions('the gateway', { origin: gateway.origin, cookies: people })
  const closing = stack.move()
  return {
    app,
    servers,
    nginx: { ...bare, cookies: people },
    gateway: { ...gateway, name: 'sessiongate', cookies: people },
    people,
    folderFor,
    optionsFor,
    openGateway: async (name, change) => await openGateway(await optionsFor(name, change)),
    openRival,
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** Where the usual gateway keeps its sessions. */
async function redisPlace(servers: Servers): Promise<Pick<GatewayOptions, 'session' | 'sections'>> {
  const store = benchStores.find(({ name }) => name === 'cache on Redis')
  if (store === undefined) throw new TypeError('there is no cache on Redis')
  const { session, sections } = await store.open(servers, '')
  return { session, sections }
}

async function rivalOf(peer: Peer, running: RunningPeer, ticksPerSecond: number): Promise<Rival & AsyncDisposable> {
  const { origin, pid, version } = running
  const cookies = running.logIn === undefined ? [] : await logInAll(running.logIn)
  if (peer.work === 'session') await requireSessions(peer.name, { origin, cookies }, peer.userHeader)
  return {
    peer,
    name: peer.name,
    origin,
    version,
    cookies,
    cpuSeconds: async () => cpuSecondsOf(pid, ticksPerSecond),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

/** One person for each connection. */
export async function logInAll(logIn: () => Promise<string>): Promise<string[]> {
  const cookies: string[] = []
  while (cookies.length < CONNECTIONS) cookies.push(await logIn())
  return cookies
}

/**
 * The app is told the user's name if and only if the session's cookie is there; a header of the client's own changes
 * nothing. So that no peer is fast because it does not do what it is there for.
 */
export async function requireSessions(
  name: string,
  { origin, cookies }: Target,
  userHeader = 'X-User-Name',
): Promise<void> {
  const told = async (headers: Readonly<Record<string, string>>): Promise<boolean> => {
    const answer = await fetch(`${origin}/echo`, { headers, redirect: 'manual' })
    const text = await answer.text()
    return answer.status === 200 && text.toLowerCase().includes('ada')
  }
  for (const cookie of cookies) {
    if (!(await told({ cookie }))) throw new Error(`${name} does not tell the app who is logged in`)
  }
  if ((await told({})) || (await told({ [userHeader]: USER_NAME })))
    throw new Error(`${name} tells the app of a user without a session`)
}
