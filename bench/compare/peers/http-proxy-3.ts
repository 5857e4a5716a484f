import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { checkout } from '../program.ts'
import { packageVersion, startNodePeer } from './node-program.ts'

export const httpProxy3: Peer = {
  name: 'http-proxy-3',
  work: 'proxy',
  does: 'proxy only, without a log',
  lack: async () => undefined,
  async start(site) {
    const running = await startNodePeer(join(import.meta.dirname, 'http-proxy-3-program.ts'), site)
    return { ...running, version: packageVersion('http-proxy-3', checkout) }
  },
}
