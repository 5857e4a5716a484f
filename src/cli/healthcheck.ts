import { setTimeout } from 'node:timers/promises'
import { Command } from 'commander'
import type { Config } from '../config/config.ts'
import { type CliContext, CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { reachableHost } from './operator-place.ts'
import { parsePause } from './options.ts'
import { configOption, readConfig } from './reading.ts'

const DEADLINE_MS = 3_000
const PAUSE_MS = 100

interface HealthcheckOptions {
  readonly config: string
  readonly url?: string
  readonly live?: true
  readonly wait?: number
}

/** `healthcheck`: for containers and supervisors that want an exit code; asks `/readyz` or `/livez` of the running gateway. */
export function createHealthcheckCommand(context: CliContext): Command {
  return new Command('healthcheck')
    .description('ask the running gateway whether it is ready; exit 0 if so, else 1')
    .option('--url <url>', 'what to ask; default by the configuration')
    .option('--live', 'ask /livez instead: whether it serves, whatever its store does')
    .option('--wait <time>', 'ask again until the answer is yes, for so long: 30s', parsePause)
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  sessiongate healthcheck --config config/sessiongate.yaml')
    .action(async (options: HealthcheckOptions) => {
      const path = options.live === true ? '/livez' : '/readyz'
      const url = options.url ?? operatorUrl((await readConfig(context, options.config)).config, path)
      if (url === undefined) throw new CommandError(exitCodes.usage, 'neither admin nor probes listens; give --url')
      const status = await lastStatus(url, options.wait ?? 0)
      const word = options.live === true ? 'live' : 'ready'
      if (status !== 200) throw new CommandError(exitCodes.failed, `not ${word}: ${url} ${status ?? 'does not answer'}`)
      context.print(`${word}\n`)
    })
}

/** The first 200, or what came last within that time; it is asked at least once. */
async function lastStatus(url: string, waitMs: number): Promise<number | undefined> {
  const giveUpAt = performance.now() + waitMs
  for (;;) {
    const status = await statusOf(url)
    if (status === 200 || performance.now() + PAUSE_MS > giveUpAt) return status
    await setTimeout(PAUSE_MS)
  }
}

function operatorUrl(config: Config, path: string): string | undefined {
  const address = config.probes?.listen.address ?? config.admin?.listen.address
  return address?.kind === 'tcp' ? `http://${reachableHost(address)}:${address.port}${path}` : undefined
}

async function statusOf(url: string): Promise<number | undefined> {
  // Only here: no other command should wait for it to load.
  const { request } = await import('undici')
  try {
    const { statusCode, body } = await request(url, { headersTimeout: DEADLINE_MS, bodyTimeout: DEADLINE_MS })
    await body.dump()
    return statusCode
  } catch {
    return undefined
  }
}
