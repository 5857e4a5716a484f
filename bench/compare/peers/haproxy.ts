import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findFreePort } from '../../../test/support/postgres.ts'
import type { Peer } from '../peer.ts'
import { findProgram, startProgram, versionOf } from '../program.ts'

const path = findProgram('haproxy') ?? ''

export const haproxy: Peer = {
  name: 'HAProxy',
  work: 'proxy',
  does: 'proxy only, with an access log',
  lack: async () => (path === '' ? 'it is not installed' : undefined),
  async start({ folder, appOrigin }) {
    const port = await findFreePort()
    const config = `
global
  nbthread 1
  maxconn 2000
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  http-reuse always
  timeout connect 2s
  timeout client 600s
  timeout server 600s
frontend front
  bind 127.0.0.1:${port} backlog 4096
  default_backend app
backend app
  server app ${new URL(appOrigin).host}
`
    const file = join(folder, 'haproxy.cfg')
    await writeFile(file, config)
    const program = startProgram(path, ['-db', '-f', file], { folder, name: 'haproxy' })
    await program.untilListening(port)
    return {
      origin: `http://127.0.0.1:${port}`,
      pid: program.pid,
      version: await versionOf(path, '-v'),
      [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
    }
  },
}
