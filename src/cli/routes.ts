import { Command } from 'commander'
import { type Answer, cellOf, readList } from './answers.ts'
import type { CliContext } from './context.ts'
import { openOperatorClient } from './operator-client.ts'
import { addPlaceOptions, type PlaceOptions } from './operator-place.ts'
import { jsonOption } from './options.ts'
import { jsonLine } from './printable.ts'
import { type Cell, paperOf, tableText } from './table.ts'

const HEADINGS = ['ROUTE', 'HOSTS', 'METHODS', 'PATHS', 'UPSTREAM', 'AUTH', 'ONLY IF', 'MODE']

/** `routes`: in the order in which the running gateway tries them. */
export function createRoutesCommand(context: CliContext): Command {
  return addPlaceOptions(
    new Command('routes')
      .description('list the routes of the running gateway, in the order in which they are tried')
      .addOption(jsonOption())
      .addHelpText('after', '\nExample:\n  sessiongate routes')
      .action(async (options: PlaceOptions & { json?: boolean }) => {
        await using gateway = await openOperatorClient(context, options)
        const answer = await gateway.ask('/api/routes')
        if (options.json) context.print(jsonLine(answer))
        else context.print(tableText(HEADINGS, readList(answer).map(rowOf), paperOf(context)))
      }),
  )
}

function rowOf({ id, hosts, methods, paths, upstream, session, auth, require, allow, mode }: Answer): Cell[] {
  const conditions = [...(Array.isArray(require) ? require : []), ...(typeof allow === 'string' ? [allow] : [])]
  const who = session === false ? 'no session' : cellOf(auth)
  return [
    cellOf(id),
    anyOr(hosts),
    anyOr(methods),
    anyOr(paths),
    cellOf(upstream),
    who,
    cellOf(conditions.map(String).join(' && ')),
    mode === 'observe' ? { text: mode, tone: 'odd' } : cellOf(mode),
  ]
}

function anyOr(names: unknown): string {
  return Array.isArray(names) && names.length === 0 ? 'any' : cellOf(names)
}
