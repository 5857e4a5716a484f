import { once } from 'node:events'
import { Command } from 'commander'
import type { CliContext, RunningGateway } from './context.ts'
import { configOption, readServedConfig } from './reading.ts'

/** `serve`: runs until SIGTERM or SIGINT, which drain; a second one ends at once. */
export function createServeCommand(context: CliContext): Command {
  return new Command('serve')
    .description('run the gateway')
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  sessiongate serve --config config/sessiongate.yaml')
    .action(async (options: { config: string }) => {
      const { config, warnings } = await readServedConfig(context, options.config)
      // Before anything listens: a supervisor may ask for the end the moment it sees the first line.
      const stop = signalled()
      await using gateway = await context.openGateway(config, { warnings, version: context.version })
      const urls = gateway.addresses.map((address, at) => urlOf(address, config.listen[at]?.tls !== undefined))
      context.tell(`sessiongate listens on ${urls.join(', ')}\n`)
      await stop
      await drainOrCut(gateway)
    })
}

function urlOf(address: string, isTls: boolean): string {
  return address.startsWith('/') ? `unix:${address}` : `http${isTls ? 's' : ''}://${address}/`
}

async function signalled(): Promise<void> {
  const stop = new AbortController()
  // A reload comes with a later version; until then the signal must not end the process, which is its default.
  process.on('SIGHUP', () => undefined)
  await Promise.race(['SIGTERM', 'SIGINT'].map((name) => once(process, name, { signal: stop.signal }))).finally(() =>
    stop.abort(),
  )
}

async function drainOrCut(gateway: RunningGateway): Promise<void> {
  const again = signalled().then(() => gateway.cut())
  await Promise.race([gateway.drain(), again])
}
