import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { parseSessionData } from '../../../src/django/json.ts'
import { pickleSerializer } from '../../../src/sessions/caches/pickle-serializer.ts'
import { cacheKeyPrefix } from '../../../src/sessions/caches/session-cache.ts'
import { startRedis } from '../../../test/support/redis.ts'
import { requireServer } from '../../../test/support/requirement.ts'
import { USER_NAME } from '../app.ts'
import { routeFor } from '../gateway.ts'
import type { Traffic } from '../load.ts'
import { enter, enterNginx, GATEWAY, home, type Scenario, type Stage, type Starter } from '../scenario.ts'

const IDLE_CONNECTIONS = 5000
const FEW_SESSIONS = 1000

/** Asks for the first route, the last and some between; the app has the same answer for all of them. */
const overRoutes: Traffic = { asks: [{ path: '/r0/' }, { path: '/r3/' }, { path: '/r6/' }, { path: '/r9/' }] }
const overManyRoutes: Traffic = { asks: [{ path: '/r0/' }, { path: '/r333/' }, { path: '/r666/' }, { path: '/r999/' }] }

async function withRoutes({ arena, stack }: Stage, count: number, traffic: Traffic): Promise<Starter> {
  const routes = Array.from({ length: count }, (_, i) => routeFor(`r${i}`, `/r${i}/*`))
  const gateway = stack.use(await arena.openGateway(`${count} routes`, { routes }))
  const name = `${GATEWAY}, ${count.toLocaleString('en')} routes`
  return enter(name, { ...gateway, cookies: arena.people }, traffic)
}

const flatRoutes: Scenario = {
  name: 'flat-routes',
  about: '10 routes and 1,000',
  isMain: true,
  isFlat: true,
  isQuick: true,
  open: async (stage) => [
    enterNginx(stage.arena),
    await withRoutes(stage, 10, overRoutes),
    await withRoutes(stage, 1000, overManyRoutes),
  ],
}

/** As Django would have stored them; resolves when Redis has all of them. */
async function fill(port: number, count: number): Promise<string[]> {
  const data = parseSessionData(`{"userInfo":{"id":7,"name":"${USER_NAME}"},"lang":"en"}`)
  if (data === undefined) throw new TypeError('this is no session')
  const value = Buffer.from(pickleSerializer.encode(data))
  const prefix = cacheKeyPrefix({ keyPrefix: '', version: 1 }, 'cache')
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('CLIENT REPLY OFF\r\n')
  const inUse: string[] = []
  for (let done = 0; done < count; ) {
    const pieces: Buffer[] = []
    for (const end = Math.min(count, done + 10_000); done < end; done++) {
      const key = randomBytes(16).toString('hex')
      // Those in use lie all over the store.
      if (done % (count / FEW_SESSIONS) === 0) inUse.push(key)
      const name = `${prefix}${key}`
      pieces.push(Buffer.from(`*5\r\n$3\r\nSET\r\n$${name.length}\r\n${name}\r\n$${value.length}\r\n`), value)
      pieces.push(Buffer.from('\r\n$2\r\nEX\r\n$5\r\n86400\r\n'))
    }
    if (!socket.write(Buffer.concat(pieces))) await once(socket, 'drain')
  }
  socket.write('CLIENT REPLY ON\r\n')
  const [reply] = await once(socket, 'data')
  socket.destroy()
  if (`${reply}` !== '+OK\r\n') throw new Error(`Redis said ${reply}`)
  return inUse
}

async function withSessions({ arena, stack }: Stage, count: number): Promise<Starter> {
  const redis = stack.use(await startRedis())
  const keys = await fill(redis.port, count)
  const { sections: usual } = await arena.optionsFor(`${count} sessions`, {})
  const sections = usual.replace(/redis:\/\/127\.0\.0\.1:\d+/, `redis://127.0.0.1:${redis.port}`)
  const gateway = stack.use(await arena.openGateway(`${count} sessions`, { sections }))
  const cookies = keys.map((key) => `sessionid=${key}`)
  return enter(`${GATEWAY}, ${count.toLocaleString('en')} sessions`, { ...gateway, cookies }, home)
}

const flatSessions: Scenario = {
  name: 'flat-sessions',
  about: '1,000 sessions in Redis, and a million (with --quick 100,000) of which 1,000 are in use',
  isMain: true,
  isFlat: true,
  async open(stage) {
    const { skip } = requireServer('redis')
    if (skip !== false) {
      stage.leaveOut('flat-sessions', skip)
      return []
    }
    return [
      enterNginx(stage.arena),
      await withSessions(stage, FEW_SESSIONS),
      await withSessions(stage, stage.manySessions),
    ]
  },
}

/** Connections on which a request was made, and which are kept. */
interface IdleConnections extends Disposable {
  /** Opens those that are missing, and makes one request on each, so that nobody closes them. @throws {Error} if one was closed. */
  keep(): Promise<void>
  /** Closes all of them; resolves when the gateway has seen it. */
  close(): Promise<void>
}

function createIdleConnections(origin: string, cookie: string): IdleConnections {
  const { hostname, port, host } = new URL(origin)
  const sockets: Socket[] = []
  const request = `GET / HTTP/1.1\r\nHost: ${host}\r\nCookie: ${cookie}\r\n\r\n`
  const ask = async (socket: Socket): Promise<void> => {
    if (socket.closed) throw new Error('an idle connection was closed')
    socket.write(request)
    const [answer] = await once(socket, 'data')
    if (!`${answer}`.startsWith('HTTP/1.1 200 ')) throw new Error(`an idle connection was answered with ${answer}`)
  }
  const open = async (): Promise<Socket> => {
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    return socket.on('error', () => {})
  }
  const dispose = (): void => {
    for (const socket of sockets.splice(0)) socket.destroy()
  }
  return {
    async keep() {
      while (sockets.length < IDLE_CONNECTIONS) sockets.push(await open())
      for (const socket of sockets) await ask(socket)
    },
    async close() {
      dispose()
      // One that comes after them is dealt with after them.
      const last = await open()
      await ask(last)
      last.destroy()
    },
    [Symbol.dispose]: dispose,
  }
}

/** Node takes as many for itself as the system lets it have, and what it starts inherits that. */
function readMaxOpenFiles(): number {
  const limit = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim()
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit)
}

const flatConnections: Scenario = {
  name: 'flat-connections',
  about: `64 connections at work, alone and beside ${IDLE_CONNECTIONS.toLocaleString('en')} that are idle`,
  isMain: true,
  isFlat: true,
  async open({ arena, stack, leaveOut }) {
    const openFiles = readMaxOpenFiles()
    if (openFiles < IDLE_CONNECTIONS + 1000) {
      leaveOut('flat-connections', `a process may have only ${openFiles} open files here`)
      return []
    }
    // One process for both: two of them differ by more than what is to be seen here.
    const gateway = { ...stack.use(await arena.openGateway('idle connections', {})), cookies: arena.people }
    const idle = stack.use(createIdleConnections(gateway.origin, arena.people[0] ?? ''))
    const many = IDLE_CONNECTIONS.toLocaleString('en')
    return [
      enterNginx(arena),
      { ...enter(`${GATEWAY}, no idle connections`, gateway, home), prepare: () => idle.close() },
      { ...enter(`${GATEWAY}, ${many} idle connections`, gateway, home), prepare: () => idle.keep() },
    ]
  },
}

/** The small case and the large one: what a request costs must not depend on it. */
export const flat: readonly Scenario[] = [flatRoutes, flatSessions, flatConnections]
