import { setTimeout } from 'node:timers/promises'
import { Command } from 'commander'
import type { Agent } from 'undici'
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
      const connection = { rejectUnauthorized: options.url !== undefined }
      const status = await lastStatus(url, { waitMs: options.wait ?? 0, connection })
      const word = options.live === true ? 'live' : 'ready'
      if (status !== 200) throw new CommandError(exitCodes.failed, `not ${word}: ${url} ${status ?? 'does not answer'}`)
      context.print(`${word}\n`)
    })
}

interface Asking {
  readonly waitMs: number
  /**
   * Whoever is asked by the address of our own configuration is asked for a word, and told nothing: to demand a certificate
   * of him would only call a gateway dead that still shows the one before, because the new files are not in order.
   */
  readonly connection: { readonly rejectUnauthorized: boolean }
}

/** The first 200, or what came last within that time; it is asked at least once. */
async function lastStatus(url: string, { waitMs, connection }: Asking): Promise<number | undefined> {
  const giveUpAt = performance.now() + waitMs
  // Only here: no other command should wait for it to load.
  const { Agent } = await import('undici')
  const dispatcher = new Agent({ connect: connection })
  try {
    for (;;) {
      const status = await statusOf(url, dispatcher)
      if (status === 200 || performance.now() + PAUSE_MS > giveUpAt) return status
      await setTimeout(PAUSE_MS)
    }
  } finally {
    await dispatcher.destroy()
  }
}

function operatorUrl(config: Config, path: string): string | undefined {
  const { probes, admin } = config
  const address = (probes ?? admin)?.listen.address
  const scheme = probes === undefined && admin?.tls !== undefined ? 'https' : 'http'
  return address?.kind === 'tcp' ? `${scheme}://${reachableHost(address)}:${address.port}${path}` : undefined
}

async function statusOf(url: string, dispatcher: Agent): Promise<number | undefined> {
  const { request } = await import('undici')
  try {
    const times = { headersTimeout: DEADLINE_MS, bodyTimeout: DEADLINE_MS }
    const { statusCode, body } = await request(url, { ...times, dispatcher })
    await body.dump()
    return statusCode
  } catch {
    return undefined
  }
}
