import { BODY_BYTES } from '../app.ts'
import { logInAll } from '../arena.ts'
import type { Ask, Traffic } from '../load.ts'
import { enter, enterNginx, GATEWAY, home, type Scenario, type Starter } from '../scenario.ts'
import { runClosingLoad } from '../socket-load.ts'

const anonymous: Scenario = {
  name: 'anonymous',
  about: 'no cookie, on a route with auth: optional',
  isQuick: true,
  async open({ arena }) {
    const traffic: Traffic = { asks: [{ path: '/open/' }] }
    return [enterNginx(arena, traffic, []), enter(GATEWAY, { ...arena.gateway, cookies: [] }, traffic)]
  },
}

const denied: Scenario = {
  name: 'denied',
  about: 'no cookie where a user is required: a redirect to the login page, and the app is not asked',
  isQuick: true,
  async open({ arena }) {
    const asks: Traffic['asks'] = [{ path: '/', headers: { accept: 'text/html' } }]
    return [enterNginx(arena, { asks }, []), enter(GATEWAY, { ...arena.gateway, cookies: [] }, { asks, status: 302 })]
  },
}

const plain: Ask = { path: '/' }
const writing: Ask = { path: '/write' }

/** So many in a hundred change a value in their session; each of the 64 people has a session of their own. */
const writeBack: Scenario = {
  name: 'write-back',
  about: 'the app answers X-Session-Set with another value, to a part of the requests',
  isQuick: true,
  async open({ arena }) {
    const tenth: Traffic = { asks: [writing, ...Array.from({ length: 9 }, () => plain)] }
    return [
      enterNginx(arena),
      enter(`${GATEWAY}, 10 % of requests`, arena.gateway, tenth),
      enter(`${GATEWAY}, 100 % of requests`, arena.gateway, { asks: [writing] }),
    ]
  },
}

const sizes: readonly [label: string, path: string, fills: readonly string[]][] = [
  ['100 B', '/', []],
  ['4 KiB', '/large/', ['/fill/1']],
  ['16 KiB', '/large/', ['/fill/1', '/fill/2', '/fill/3', '/fill/4']],
]

const sessionSize: Scenario = {
  name: 'session-size',
  about: 'sessions of 100 B, 4 KiB and 16 KiB; the larger two on a route with include: [userInfo]',
  async open({ arena }) {
    const starters: Starter[] = [enterNginx(arena)]
    for (const [label, path, fills] of sizes) {
      const cookies = await logInAll(() => arena.gateway.logIn(...fills))
      starters.push(enter(`${GATEWAY}, ${label}`, { ...arena.gateway, cookies }, { asks: [{ path }] }))
    }
    return starters
  },
}

function withBody(size: keyof typeof BODY_BYTES, direction: 'down' | 'up'): Scenario {
  const ask: Ask =
    direction === 'down'
      ? { path: `/down/${size}` }
      : { path: '/up', method: 'POST', body: Buffer.alloc(BODY_BYTES[size], 'x') }
  return {
    name: `${direction}-${size}`,
    about: `${size} ${direction === 'down' ? 'in the body of each answer' : 'in the body of each request'}`,
    open: async ({ arena }) => [enterNginx(arena, { asks: [ask] }), enter(GATEWAY, arena.gateway, { asks: [ask] })],
  }
}

const keepAliveOff: Scenario = {
  name: 'keepalive-off',
  about: 'each request on a connection of its own',
  async open({ arena }) {
    const { nginx, gateway } = arena
    return [
      { ...enterNginx(arena), load: (seconds) => runClosingLoad(nginx, seconds) },
      { ...enter(GATEWAY, gateway, home), load: (seconds) => runClosingLoad(gateway, seconds) },
    ]
  },
}

/** What the usual gateway does with other requests. */
export const requests: readonly Scenario[] = [
  anonymous,
  denied,
  writeBack,
  sessionSize,
  withBody('16KiB', 'down'),
  withBody('1MiB', 'down'),
  withBody('16KiB', 'up'),
  withBody('1MiB', 'up'),
  keepAliveOff,
]
