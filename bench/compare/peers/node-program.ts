import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findFreePort } from '../../../test/support/postgres.ts'
import type { PeerSite, RunningPeer } from '../peer.ts'
import { startProgram } from '../program.ts'

/** Starts one of the proxies that run on Node: `SCRIPT PORT APP-ORIGIN …`. */
export async function startNodePeer(
  script: string,
  { folder, appOrigin }: PeerSite,
  args: readonly string[] = [],
): Promise<Omit<RunningPeer, 'version'>> {
  const port = await findFreePort()
  const all = [script, `${port}`, appOrigin, ...args]
  const program = startProgram(process.execPath, all, { folder, name: 'proxy', env: { NODE_ENV: 'production' } })
  await program.untilListening(port)
  return {
    origin: `http://127.0.0.1:${port}`,
    pid: program.pid,
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}

/** Of a package in the `node_modules` of that folder. */
export function packageVersion(name: string, folder: string): string {
  const { version } = JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8'))
  return version
}
