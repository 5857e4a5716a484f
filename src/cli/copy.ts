import { Command } from 'commander'
import type { Config } from '../config/config.ts'
import { createSessionKey } from '../django/session-key.ts'
import { systemClock } from '../lib/clock.ts'
import { Mover } from '../sessions/moving.ts'
import { type CliContext, CommandError, type SessionTools } from './context.ts'
import { type CopyCounts, type CopyMode, type CopyReport, copySessions } from './copying.ts'
import { exitCodes } from './exit-codes.ts'
import { wordsOf } from './failure-words.ts'
import { interruptible } from './interruption.ts'
import { parseCount } from './options.ts'
import { createProgress, thousands } from './progress.ts'
import { readConfig } from './reading.ts'

/** So many sessions at once: what a pool of ten connections and a file system keep busy with. */
const PARALLEL = 16

interface Options {
  readonly from: string
  readonly to: string
  readonly move?: boolean
  readonly dryRun?: boolean
  readonly parallel: number
  readonly json?: boolean
}

/** `sessions copy`: every session of one store into another, under the same keys. */
export function createCopyCommand(context: CliContext): Command {
  return new Command('copy')
    .description('copy all sessions from one store to another; run again, it goes on')
    .requiredOption('--from <file>', 'the YAML file that names the store they are in')
    .requiredOption('--to <file>', 'the YAML file that names the one they shall be in')
    .option('--move', 'take them over while gateways with read_also run; nothing stays behind')
    .option('--dry-run', 'write nothing, tell what would be copied')
    .option('--parallel <count>', 'so many at once', parseCount, PARALLEL)
    .option('--json', 'the counts as one JSON object, and no progress')
    .addHelpText(
      'after',
      '\nExample:\n  sessiongate sessions copy --from config/old.yaml --to config/new.yaml --dry-run',
    )
    .action(async (options: Options) => {
      const [from, to] = [await readStore(context, options, 'from'), await readStore(context, options, 'to')]
      await using source = await context.openSessionTools(from)
      if (!source.engine.lists) {
        const instead = 'name it under read_also, and its sessions move when they are used'
        throw new CommandError(exitCodes.usage, `${options.from}: this store cannot say what it holds; ${instead}`)
      }
      await using target = await context.openSessionTools(to)
      const report = await run(context, { source, target, options })
      tellOf(report, context, options)
      if (report.end !== 'done' || report.counts.failed > 0) throw new CommandError(exitCodes.failed, endOf(report))
    })
}

interface Stores {
  readonly source: SessionTools
  readonly target: SessionTools
  readonly options: Options
}

async function run(context: CliContext, { source, target, options }: Stores): Promise<CopyReport> {
  const mode: CopyMode = options.dryRun ? 'dry run' : options.move ? 'move' : 'copy'
  const what = mode === 'dry run' ? 'looked at' : mode === 'move' ? 'moved' : 'copied'
  const progress = createProgress({ context, what, isQuiet: options.json ?? false })
  const [from, to] = [source.engine, target.engine]
  const copy = (signal: AbortSignal): Promise<CopyReport> =>
    copySessions({
      mode,
      from,
      to,
      mover: new Mover({ from, to, clock: systemClock, newKey: () => createSessionKey() }),
      parallel: options.parallel,
      publicId: source.publicId,
      clock: systemClock,
      pause: (durationMs) => context.pause(durationMs, signal),
      signal,
      onProgress: progress.show,
    })
  return await interruptible(context, copy).finally(progress.end)
}

/** @throws {CommandError} where there is nothing to list, or nowhere to put anything. */
async function readStore(context: CliContext, options: Options, side: 'from' | 'to'): Promise<Config> {
  const { config } = await readConfig(context, options[side])
  const { engine, readAlso } = config.session
  const refuse = (why: string): never => {
    throw new CommandError(exitCodes.usage, `${options[side]}: ${why}`)
  }
  if (engine.kind === 'signed_cookies') {
    refuse('signed_cookies keeps its sessions in the browsers: there is nothing to copy from or to')
  }
  if (engine.kind === 'cache' && engine.cache.kind === 'memory') {
    refuse('sessions in memory are those of one process, and this command is another')
  }
  if (readAlso === undefined || (side === 'from' && !options.move)) return config
  if (side === 'from') refuse('--move takes sessions from one store, and this file has two; leave read_also out')
  // Beside running gateways, a copy would bring back what somebody ends while it is made.
  if (!options.move && !options.dryRun) refuse('it has read_also, so gateways may be moving sessions: use --move')
  return { ...config, session: { ...config.session, readAlso: undefined } }
}

const labels: readonly (readonly [kind: keyof CopyCounts, label: string])[] = [
  ['copied', 'copied'],
  ['there', 'there already'],
  ['expired', 'over meanwhile'],
  ['unreadable', 'unreadable'],
  ['unstorable', 'not storable'],
  ['failed', 'failed'],
]

function tellOf({ counts, unreadable, unstorable, end }: CopyReport, context: CliContext, options: Options): void {
  if (options.json) {
    context.print(`${JSON.stringify({ ...counts, end, unreadable_ids: unreadable, unstorable_ids: unstorable })}\n`)
    return
  }
  const verb = options.dryRun ? 'to be copied' : options.move ? 'moved' : 'copied'
  for (const [kind, label] of labels) {
    context.print(`${(kind === 'copied' ? verb : label).padEnd(16)}${thousands(counts[kind]).padStart(12)}\n`)
  }
  tellIds(context, 'left where they are, since they cannot be read', { ids: unreadable, count: counts.unreadable })
  tellIds(context, 'left where they are, since the other store cannot hold them', {
    ids: unstorable,
    count: counts.unstorable,
  })
}

function tellIds(context: CliContext, why: string, { ids, count }: { ids: readonly string[]; count: number }): void {
  if (count === 0) return
  const more = count > ids.length ? ` and ${thousands(count - ids.length)} more` : ''
  context.tell(`${why}: ${ids.join(' ')}${more}\n`)
}

function endOf({ end, cause }: CopyReport): string {
  if (end === 'interrupted') return 'interrupted; run the same command again, and it goes on'
  return `a store failed, several times in a row: ${wordsOf(cause)}; run the same command again, and it goes on`
}
