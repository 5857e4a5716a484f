import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { requireServer } from '../../../test/support/requirement.ts'
import { cookieOf, type Peer } from '../peer.ts'
import { checkout } from '../program.ts'
import { packageVersion, startNodePeer } from './node-program.ts'

const folder = join(checkout, 'bench/peers')
const script = join(folder, 'express.mjs')
const names = ['express', 'express-session', 'connect-redis', 'http-proxy-middleware']

const areInstalled = (): boolean => names.every((name) => existsSync(join(folder, 'node_modules', name)))

async function install(): Promise<string | undefined> {
  process.stderr.write('installing the packages of bench/peers, once\n')
  try {
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    await promisify(execFile)('npm', args, { cwd: folder, timeout: 120_000 })
    return undefined
  } catch (error) {
    return `npm ci in bench/peers failed: ${error instanceof Error ? error.message.trim().split('\n').at(-1) : error}`
  }
}

export const express: Peer = {
  name: 'express-session',
  work: 'session',
  does: 'connect-redis and http-proxy-middleware: session for each request, user required, name up in a header; no log, no signature',
  async lack() {
    const { skip } = requireServer('redis')
    if (skip !== false) return skip
    return areInstalled() ? undefined : await install()
  },
  async start(site) {
    const running = await startNodePeer(script, site, [`redis://127.0.0.1:${await site.redisPort()}`])
    return {
      ...running,
      version: packageVersion('express-session', folder),
      logIn: async () => cookieOf(await fetch(`${running.origin}/login`, { method: 'POST' })),
    }
  },
}
