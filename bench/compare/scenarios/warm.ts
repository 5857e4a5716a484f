import { requireSessions } from '../arena.ts'
import type { Peer } from '../peer.ts'
import { apache } from '../peers/apache.ts'
import { caddy } from '../peers/caddy.ts'
import { express } from '../peers/express.ts'
import { haproxy } from '../peers/haproxy.ts'
import { httpProxy3 } from '../peers/http-proxy-3.ts'
import { nginxLua } from '../peers/nginx-lua.ts'
import { oauth2Proxy } from '../peers/oauth2-proxy.ts'
import { undici } from '../peers/undici.ts'
import { enter, enterNginx, GATEWAY, home, type Scenario, type Stage, type Starter } from '../scenario.ts'

const peers: readonly Peer[] = [haproxy, undici, httpProxy3, caddy, apache, nginxLua, oauth2Proxy, express]

/** The names that `--only` takes. */
export const peerNames: readonly string[] = peers.map(({ name }) => name)

export const warm: Scenario = {
  name: 'warm',
  about: 'somebody is logged in, and the session has been read before; beside other programs',
  isMain: true,
  isQuick: true,
  async open(stage) {
    const { arena, stack } = stage
    const starters: Starter[] = [enterNginx(arena)]
    const gateway = stack.use(await arena.openGateway('warm', {}))
    const target = { ...gateway, cookies: arena.people }
    await requireSessions(GATEWAY, target)
    const does = 'session kept in memory, rule, signed assertion and name up in headers, metrics, access log'
    starters.push({ ...enter(GATEWAY, target, home), does })
    for (const peer of peers.filter(({ name }) => stage.takesPart(name)))
      starters.push(...(await startersOf(peer, stage)))
    return starters
  },
}

async function startersOf(peer: Peer, { arena, stack, leaveOut }: Stage): Promise<Starter[]> {
  const lack = await peer.lack()
  if (lack !== undefined) {
    leaveOut(peer.name, lack)
    return []
  }
  const rival = stack.use(await arena.openRival(peer))
  // Who only proxies gets the same bytes as the gateway: cookies that say nothing to him.
  const cookies = rival.cookies.length > 0 ? rival.cookies : arena.people
  const { work, does } = peer
  return [{ ...enter(peer.name, { ...rival, cookies }, home), work, does, version: rival.version }]
}
