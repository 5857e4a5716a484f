import { once } from 'node:events'
import { Command } from 'commander'
import type { ConfigSnapshot } from '../config/snapshot.ts'
import type { CliContext, RunningGateway } from './context.ts'
import { configOption, readServedConfig } from './reading.ts'

/**
 * `serve`: runs until SIGTERM or SIGINT, which drain; a second one ends at once. SIGHUP reads the configuration again,
 * SIGUSR2 replaces the workers.
 */
export function createServeCommand(context: CliContext): Command {
  return new Command('serve')
    .description('run the gateway')
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  sessiongate serve --config config/sessiongate.yaml')
    .action(async (options: { config: string }) => {
      const read = (snapshot?: ConfigSnapshot) => readServedConfig(context, options.config, snapshot)
      const first = await read()
      const { config, warnings, snapshot } = first
      // Before anything listens: a supervisor may ask for the end, or for a reload, the moment it sees the first line.
      const stop = signalled()
      const reloads = keepSignal('SIGHUP')
      const rolls = keepSignal('SIGUSR2')
      const common = { warnings, version: context.version }
      await using gateway =
        config.workers === 1
          ? await context.openGateway(config, common)
          : await context.openFleet(config, { ...common, files: snapshot.pack(), path: options.config })
      const urls = gateway.addresses.map((address, at) => urlOf(address, config.listen[at]?.tls !== undefined))
      context.tell(`sessiongate listens on ${urls.join(', ')}\n`)
      await using following = await gateway.followConfig(first, read)
      reloads.lead(() => void following.reload())
      rolls.lead(() => roll(context, gateway))
      await stop
      rolls.lead(() => undefined)
      await drainOrCut(gateway)
    })
}

function roll(context: CliContext, gateway: RunningGateway): void {
  if (gateway.roll === undefined) context.tell('sessiongate: one process cannot be replaced by itself: restart it\n')
  else void gateway.roll()
}

function urlOf(address: string, isTls: boolean): string {
  return address.startsWith('/') ? `unix:${address}` : `http${isTls ? 's' : ''}://${address}/`
}

async function signalled(): Promise<void> {
  const stop = new AbortController()
  await Promise.race(['SIGTERM', 'SIGINT'].map((name) => once(process, name, { signal: stop.signal }))).finally(() =>
    stop.abort(),
  )
}

/** By default the signal would end the process. One that comes too early is kept. */
function keepSignal(name: NodeJS.Signals): { lead(act: () => void): void } {
  let isWanted = false
  let act = (): void => {
    isWanted = true
  }
  process.on(name, () => act())
  return {
    lead(to) {
      act = to
      if (isWanted) to()
      isWanted = false
    },
  }
}

async function drainOrCut(gateway: RunningGateway): Promise<void> {
  const again = signalled().then(() => gateway.cut())
  await Promise.race([gateway.drain(), again])
}
