import { Command, Option } from 'commander'
import { writeSessionData } from '../django/json.ts'
import type { SessionEntry } from '../sessions/engine.ts'
import { findByPublicId } from '../sessions/public-id.ts'
import { sweepExpired } from '../sessions/sweep.ts'
import { type CliContext, CommandError, type SessionTools } from './context.ts'
import { createCopyCommand } from './copy.ts'
import { exitCodes } from './exit-codes.ts'
import { interruptible } from './interruption.ts'
import { type LiveListOptions, listLive, showLive } from './live-sessions.ts'
import { addMatchOptions, readMatching } from './matching.ts'
import { addLiveOptions, isLive, type LiveOptions } from './operator-place.ts'
import { parseCount, parsePause, readPublicId } from './options.ts'
import { jsonLine, printable } from './printable.ts'
import { createProgress } from './progress.ts'
import { configOption, readConfig } from './reading.ts'
import { createRevokeCommand } from './revocation.ts'
import { createIndexCommand, judgeListing, listSessions } from './user-sessions.ts'

/** How many sessions `list` prints unless it is told otherwise. */
const LIST_LIMIT = 100

interface ReadOptions {
  readonly config: string
  readonly json?: boolean
  readonly showKeys?: boolean
}

/** `sessions list|show|revoke|clear-expired|index|copy|decode`: by public id or user, straight at the store, with or without a gateway running; `--live`: by the gateway. */
export function createSessionsCommand(context: CliContext): Command {
  const sessions = new Command('sessions')
    .description('look at the stored sessions, end them, read their encoding')
    .addHelpText('after', '\nExample:\n  sessiongate sessions list')
  addList(sessions, context)
  addShow(sessions, context)
  sessions.addCommand(createRevokeCommand(context))
  addClearExpired(sessions, context)
  sessions.addCommand(createIndexCommand(context))
  sessions.addCommand(createCopyCommand(context))
  addDecode(sessions, context)
  return sessions
}

function addList(sessions: Command, context: CliContext): void {
  const list = sessions.command('list').description('list the sessions that have not expired')
  addMatchOptions(list, 'only those')
    .option('--limit <count>', 'at most so many', parseCount, LIST_LIMIT)
    .addOption(new Option('--all', 'all, however many').conflicts('limit'))
    .option('--json', "one JSON object a line; of a gateway the API's answer, with all pages in one")
    .option('--show-keys', 'print the session keys too: whoever has one has the session')
    .option('--cursor <cursor>', 'go on where a list of the gateway ended less than a minute ago')
    .addHelpText('after', '\nExample:\n  sessiongate sessions list --limit 20 --json')
    .action((options: ReadOptions & LiveOptions & LiveListOptions) => {
      if (isLive(options)) return listLive(context, options)
      if (options.cursor === undefined) return listStored(context, options)
      throw new CommandError(exitCodes.usage, '--cursor goes on with a list of the gateway: it needs --live or --url')
    })
  addLiveOptions(list)
}

async function listStored(context: CliContext, options: ReadOptions & LiveListOptions): Promise<void> {
  const matching = readMatching(options)
  await using tools = await open(context, options.config)
  const limit = options.all ? Number.POSITIVE_INFINITY : options.limit
  const heading = options.json ? '' : `${'PUBLIC ID'.padEnd(24)}${'EXPIRES'.padEnd(26)}KEYS IN IT\n`
  let printed = 0
  for await (const entry of listSessions(context, tools, matching)) {
    if (printed === limit) {
      context.tell(`there are more; --limit shows them\n`)
      break
    }
    context.print((printed === 0 ? heading : '') + lineOf(entry, tools, options))
    printed += 1
  }
  if (printed === 0) context.print(heading)
}

function lineOf(entry: SessionEntry, tools: SessionTools, options: ReadOptions): string {
  const id = tools.publicId(entry.key)
  const expires = entry.expiresAt === undefined ? null : new Date(entry.expiresAt).toISOString()
  const names = [...entry.data.keys()]
  const key = options.showKeys ? { key: entry.key } : {}
  if (options.json) return jsonLine({ id, ...key, expires, names })
  const shown = names.map((name) => printable(JSON.stringify(name).slice(1, -1))).join(' ')
  return `${id.padEnd(24)}${(expires ?? '-').padEnd(26)}${shown}${options.showKeys ? `  ${entry.key}` : ''}\n`
}

function addShow(sessions: Command, context: CliContext): void {
  const show = sessions
    .command('show')
    .description("print one session's data")
    .argument('<public-id>', 'as in list, in logs, and as sid in assertions')
    .option('--json', "as JSON, which the store's is anyway; of a gateway the answer of the API")
    .option('--show-keys', 'print the session key too: whoever has it has the session')
    .addHelpText('after', '\nExample:\n  sessiongate sessions show 0mHNQ3bYw5Yl5tqcKQ8y0g')
    .action(async (argument: string, options: ReadOptions & LiveOptions) => {
      const id = readPublicId(argument)
      if (isLive(options)) return await showLive(context, id, options)
      await using tools = await open(context, options.config)
      const entry = await find(context, tools, id)
      const expires = entry.expiresAt === undefined ? 'null' : JSON.stringify(new Date(entry.expiresAt).toISOString())
      const key = options.showKeys ? `,"key":${JSON.stringify(entry.key)}` : ''
      context.print(`{"id":${JSON.stringify(id)}${key},"expires":${expires},"data":${writeSessionData(entry.data)}}\n`)
    })
  addLiveOptions(show)
}

function addClearExpired(sessions: Command, context: CliContext): void {
  sessions
    .command('clear-expired')
    .description("delete expired sessions in batches (Django's clearsessions)")
    .option('--batch <count>', 'so many at a time; default session.clear_expired.batch', parseCount)
    .option('--pause <time>', 'between two batches, such as 50ms; default as long as a batch took', parsePause)
    .option('--json', 'the count as one JSON object, and no progress')
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  sessiongate sessions clear-expired --batch 500 --pause 10ms')
    .action(async (options: ReadOptions & { batch?: number; pause?: number }) => {
      await using tools = await open(context, options.config)
      const { cleared, isInterrupted } = await clear(context, tools, options)
      context.print(options.json ? `${JSON.stringify({ cleared })}\n` : `${cleared} expired sessions cleared\n`)
      if (isInterrupted) throw new CommandError(exitCodes.failed, 'interrupted; run it again, and it goes on')
    })
}

async function clear(
  context: CliContext,
  { engine, clearBatch }: SessionTools,
  { batch, pause, json }: { readonly batch?: number; readonly pause?: number; readonly json?: boolean },
): Promise<{ readonly cleared: number; readonly isInterrupted: boolean }> {
  const progress = createProgress({ context, what: 'cleared', isQuiet: json ?? false })
  let cleared = 0
  const sweep = async (signal: AbortSignal): Promise<boolean> => {
    await sweepExpired(engine, {
      batch: batch ?? clearBatch,
      pauseAfter: (tookMs) => pause ?? tookMs,
      onBatch(count) {
        cleared += count
        progress.show(cleared)
      },
      signal,
    })
    return signal.aborted
  }
  const isInterrupted = await interruptible(context, sweep).finally(progress.end)
  return { cleared, isInterrupted }
}

function addDecode(sessions: Command, context: CliContext): void {
  sessions
    .command('decode')
    .description('read what session_data or a session file holds, and tell which key signed it')
    .argument('<text>', '`-` reads stdin')
    .option('--json', 'as JSON, which it is anyway')
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  sessiongate sessions decode - < /tmp/sessionid0a1b2c')
    .action(async (text: string, options: ReadOptions) => {
      const { config } = await readConfig(context, options.config)
      const decoded = await context.decode(config, (text === '-' ? await context.readStdin() : text).trim())
      if (!decoded.ok) throw new CommandError(exitCodes.failed, `not readable with this secret_key: ${decoded.reason}`)
      const signedAt = JSON.stringify(new Date(decoded.signedAt).toISOString())
      context.print(`{"data":${decoded.json},"signed_at":${signedAt},"key":${JSON.stringify(decoded.key)}}\n`)
    })
}

async function open(context: CliContext, path: string): Promise<SessionTools> {
  const { config } = await readConfig(context, path)
  return await context.openSessionTools(config)
}

async function find(context: CliContext, tools: SessionTools, id: string): Promise<SessionEntry> {
  const entry = await findByPublicId(tools, id)
  if (entry !== undefined) return entry
  judgeListing(context, tools, true)
  throw new CommandError(exitCodes.failed, `no session has the public id ${id}`)
}
