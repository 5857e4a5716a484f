import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { checkout } from '../program.ts'
import { packageVersion, startNodePeer } from './node-program.ts'

export const undici: Peer = {
  name: 'undici',
  work: 'proxy',
  does: 'proxy only, without a log: node:http in front, dispatch behind',
  lack: async () => undefined,
  async start(site) {
    const running = await startNodePeer(join(import.meta.dirname, 'undici-program.ts'), site)
    return { ...running, version: packageVersion('undici', checkout) }
  },
}
