import { Command } from 'commander'
import { type Answer, cellOf, isAnswer, readAnswer } from './answers.ts'
import type { CliContext } from './context.ts'
import { openOperatorClient } from './operator-client.ts'
import { addPlaceOptions, type PlaceOptions } from './operator-place.ts'
import { jsonOption } from './options.ts'
import { jsonLine } from './printable.ts'
import { type Cell, detailsText, paperOf } from './table.ts'

/** `status`: what runs, since when, and whether it is ready. */
export function createStatusCommand(context: CliContext): Command {
  return addPlaceOptions(
    new Command('status')
      .description('say what the running gateway is, since when, and whether it is ready')
      .addOption(jsonOption())
      .addHelpText('after', '\nExample:\n  sessiongate status --config config/sessiongate.yaml')
      .action(async (options: PlaceOptions & { json?: boolean }) => {
        await using gateway = await openOperatorClient(context, options)
        const answer = await gateway.ask('/api/overview')
        if (options.json) context.print(jsonLine(answer))
        else context.print(detailsText(pairsOf(readAnswer(answer)), paperOf(context)))
      }),
  )
}

/** Known members by their names here, and others, of a newer gateway, by theirs. */
function pairsOf(overview: Answer): (readonly [string, Cell])[] {
  const { ready, checks, version, node, started_at, uptime_seconds, mode, listen, config_hash, ...others } = overview
  const parts = Object.entries(isAnswer(checks) ? checks : {})
  return [
    ['ready', ready === true ? { text: 'yes', tone: 'good' } : { text: 'no', tone: 'bad' }],
    ...parts.map(([name, state]): readonly [string, Cell] => [`  ${name}`, stateCell(cellOf(state))]),
    ['version', `${cellOf(version)} on Node ${cellOf(node)}`],
    ['running since', `${cellOf(started_at)}, for ${durationText(Number(uptime_seconds))}`],
    ['mode', mode === 'observe' ? { text: 'observe', tone: 'odd' } : cellOf(mode)],
    ['listens on', cellOf(listen)],
    ['configuration', cellOf(config_hash)],
    ...Object.entries(others).map(([name, value]) => [name.replaceAll('_', ' '), cellOf(value)] as const),
  ]
}

function stateCell(state: string): Cell {
  return state === 'down' ? { text: state, tone: 'bad' } : state
}

/** The two largest units that it has: `3 h 12 min`. */
function durationText(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-'
  const [minutes, hours, days] = [seconds / 60, seconds / 3600, seconds / 86_400].map(Math.floor) as [
    number,
    number,
    number,
  ]
  if (days > 0) return `${days} d ${hours % 24} h`
  if (hours > 0) return `${hours} h ${minutes % 60} min`
  return minutes > 0 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`
}
