import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findFreePort } from '../../../test/support/postgres.ts'
import { openGoProgram } from '../go-program.ts'
import type { Peer } from '../peer.ts'
import { startProgram } from '../program.ts'

const program = openGoProgram({
  name: 'caddy',
  module: 'github.com/caddyserver/caddy/v2',
  version: 'v2.11.9',
  command: '/cmd/caddy',
})

export const caddy: Peer = {
  name: 'Caddy',
  work: 'proxy',
  does: 'proxy only, with an access log',
  lack: () => program.lack(),
  async start({ folder, appOrigin }) {
    const port = await findFreePort()
    const config = `
{
  admin off
  persist_config off
  auto_https off
}
http://127.0.0.1:${port} {
  bind 127.0.0.1
  log {
    output file ${folder}/access.log {
      roll_disabled
    }
  }
  reverse_proxy ${new URL(appOrigin).host}
}
`
    const file = join(folder, 'Caddyfile')
    await writeFile(file, config)
    const env = { XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder, HOME: folder }
    const args = ['run', '--adapter', 'caddyfile', '--config', file]
    const running = startProgram(program.path, args, { folder, name: 'caddy', env })
    await running.untilListening(port)
    return {
      origin: `http://127.0.0.1:${port}`,
      pid: running.pid,
      version: program.version,
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
    }
  },
}
