import { makeCertificates } from '../../../test/support/certificates.ts'
import type { GatewayChange } from '../arena.ts'
import { findFlaw } from '../gateway.ts'
import { nginxWithTls } from '../peers/nginx.ts'
import { enter, enterNginx, GATEWAY, home, type Scenario, type Stage, type Starter } from '../scenario.ts'

/** The usual gateway's sections, and one more line. */
async function changeOf({ arena }: Stage, name: string, line: string): Promise<GatewayChange> {
  const { sections } = await arena.optionsFor(name, {})
  return { sections: `${sections}\n${line}` }
}

const observability: Scenario = {
  name: 'observability',
  about: 'the access log on, as by default, and off',
  async open(stage) {
    const { arena, stack } = stage
    const change = await changeOf(stage, 'quiet', 'logging: { access: false }')
    const quiet = stack.use(await arena.openGateway('quiet', change))
    return [
      enterNginx(arena),
      enter(`${GATEWAY}, log on`, arena.gateway, home),
      enter(`${GATEWAY}, log off`, { ...quiet, cookies: arena.people }, home),
    ]
  },
}

const workers: Scenario = {
  name: 'workers',
  about: 'one process, and two on one port; the CPU time of all of them',
  async open(stage) {
    const { arena, stack, leaveOut } = stage
    const change = await changeOf(stage, 'two workers', 'workers: 2')
    const flaw = await findFlaw(await arena.optionsFor('two workers', change))
    if (flaw !== undefined) {
      leaveOut('workers', flaw)
      return []
    }
    const two = stack.use(await arena.openGateway('two workers', change))
    return [
      enterNginx(arena),
      enter(`${GATEWAY}, 1 worker`, arena.gateway, home),
      enter(`${GATEWAY}, 2 workers`, { ...two, cookies: arena.people }, home),
    ]
  },
}

const tls: Scenario = {
  name: 'tls',
  about: 'https in front of both',
  async open({ arena, stack, leaveOut }): Promise<Starter[]> {
    const { files } = await makeCertificates(await arena.folderFor('certificates'))
    const change: GatewayChange = { listen: `, tls: { cert: "${files.serverCert}", key: "${files.serverKey}" }` }
    const flaw = await findFlaw(await arena.optionsFor('tls', change))
    if (flaw !== undefined) {
      leaveOut('tls', flaw)
      return []
    }
    const gateway = stack.use(await arena.openGateway('tls', change))
    const nginx = stack.use(await arena.openRival(nginxWithTls(files)))
    const { people: cookies } = arena
    return [
      { ...enterNginx(arena), ...enter(nginx.name, { ...nginx, cookies }, home) },
      enter(GATEWAY, { ...gateway, cookies }, home),
    ]
  },
}

/** The gateway with other settings. */
export const settings: readonly Scenario[] = [observability, workers, tls]
