import { Command } from 'commander'
import { type Answer, cellOf, readAnswer } from './answers.ts'
import type { CliContext } from './context.ts'
import { openOperatorClient } from './operator-client.ts'
import { addPlaceOptions, type PlaceOptions } from './operator-place.ts'
import { jsonOption } from './options.ts'
import { jsonLine } from './printable.ts'
import { thousands } from './progress.ts'
import { type Cell, detailsText, paperOf } from './table.ts'
import { whileWaiting } from './waiting.ts'

interface Options extends PlaceOptions {
  readonly json?: boolean
}

/** `store [show]|clear-expired`: the session store as the running gateway has it. */
export function createStoreCommand(context: CliContext): Command {
  const store = new Command('store')
    .description('see how the session store is, clear what has expired')
    .addHelpText('after', '\nExample:\n  sessiongate store --count')
  store.addCommand(createShowCommand(context), { isDefault: true })
  store.addCommand(createClearCommand(context))
  return store
}

function createShowCommand(context: CliContext): Command {
  return addPlaceOptions(
    new Command('show')
      .description('say whether the store of the running gateway answers, and how fast')
      .option('--count', 'count its sessions too, and those that have expired, which looks at each')
      .addOption(jsonOption())
      .addHelpText('after', '\nExample:\n  sessiongate store show --json')
      .action(async (options: Options & { count?: boolean }) => {
        await using gateway = await openOperatorClient(context, options)
        const isQuiet = options.json === true
        const path = options.count ? '/api/store?count=true' : '/api/store'
        const answer = await whileWaiting(context, { what: 'counting', isQuiet }, (signal) =>
          gateway.ask(path, { signal, isLong: options.count === true }),
        )
        if (options.json) context.print(jsonLine(answer))
        else context.print(detailsText(pairsOf(readAnswer(answer)), paperOf(context)))
      }),
  )
}

function createClearCommand(context: CliContext): Command {
  return addPlaceOptions(
    new Command('clear-expired')
      .description('have the running gateway delete what has expired, now')
      .addOption(jsonOption())
      .addHelpText('after', '\nExample:\n  sessiongate store clear-expired')
      .action(async (options: Options) => {
        await using gateway = await openOperatorClient(context, options)
        const isQuiet = options.json === true
        const answer = await whileWaiting(context, { what: 'clearing', isQuiet }, (signal) =>
          gateway.ask('/api/store/clear-expired', { body: {}, signal, isLong: true }),
        )
        if (options.json) context.print(jsonLine(answer))
        else context.print(`${countText(readAnswer(answer).cleared)} expired sessions cleared\n`)
      }),
  )
}

/** Others, of a newer gateway, by their own names. */
function pairsOf({
  engine,
  up,
  latency_seconds,
  local_cache,
  sessions,
  expired,
  ...others
}: Answer): (readonly [string, Cell])[] {
  const latency = typeof latency_seconds === 'number' ? `, answered in ${(latency_seconds * 1000).toFixed(1)} ms` : ''
  return [
    ['engine', cellOf(engine)],
    ['state', up === true ? { text: `up${latency}`, tone: 'good' } : { text: 'down', tone: 'bad' }],
    ['kept in the process', cellOf(local_cache)],
    ...Object.entries({ sessions, expired })
      .filter(([, count]) => count !== null && count !== undefined)
      .map(([name, count]) => [name, countText(count)] as const),
    ...Object.entries(others).map(([name, value]) => [name.replaceAll('_', ' '), cellOf(value)] as const),
  ]
}

function countText(count: unknown): string {
  return typeof count === 'number' ? thousands(count) : cellOf(count)
}
