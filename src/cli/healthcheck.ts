import { Command } from 'commander'
import { request } from 'undici'
import type { Config } from '../config/config.ts'
import type { ListenAddress } from '../lib/listening.ts'
import { type CliContext, CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { configOption, readConfig } from './reading.ts'

const DEADLINE_MS = 3_000

/** `healthcheck`: for containers and supervisors that want an exit code; asks `/readyz` of the running gateway. */
export function createHealthcheckCommand(context: CliContext): Command {
  return new Command('healthcheck')
    .description('ask the running gateway whether it is ready; exit 0 if so, else 1')
    .option('--url <url>', "the gateway's /readyz; default by the configuration")
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  sessiongate healthcheck --config config/sessiongate.yaml')
    .action(async (options: { config: string; url?: string }) => {
      const url = options.url ?? readyUrl((await readConfig(context, options.config)).config)
      if (url === undefined) throw new CommandError(exitCodes.usage, 'neither admin nor probes listens; give --url')
      const status = await statusOf(url)
      if (status !== 200) throw new CommandError(exitCodes.failed, `not ready: ${url} ${status ?? 'does not answer'}`)
      context.print('ready\n')
    })
}

function readyUrl(config: Config): string | undefined {
  const address = config.probes?.listen.address ?? config.admin?.listen.address
  return address?.kind === 'tcp' ? `http://${reachable(address)}:${address.port}/readyz` : undefined
}

/** An address that means "all interfaces" is reached by the loopback one. */
function reachable({ host }: Extract<ListenAddress, { kind: 'tcp' }>): string {
  if (host === undefined || host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}

async function statusOf(url: string): Promise<number | undefined> {
  try {
    const { statusCode, body } = await request(url, { headersTimeout: DEADLINE_MS, bodyTimeout: DEADLINE_MS })
    await body.dump()
    return statusCode
  } catch {
    return undefined
  }
}
