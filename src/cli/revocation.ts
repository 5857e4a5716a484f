import { Command } from 'commander'
import { hasValue } from '../sessions/value-query.ts'
import { openAudit } from './audit.ts'
import { type CliContext, CommandError, type SessionTools } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { revokeLive } from './live-sessions.ts'
import { addMatchOptions, type Matching, type MatchOptions, readMatching, wordsOfMatching } from './matching.ts'
import { addLiveOptions, isLive, type LiveOptions } from './operator-place.ts'
import { readPublicId } from './options.ts'
import { jsonLine, printable } from './printable.ts'
import { thousands } from './progress.ts'
import { readConfig } from './reading.ts'
import { judgeListing, revokeUser } from './user-sessions.ts'

interface Options extends LiveOptions, MatchOptions {
  readonly json?: boolean
}

/** `sessions revoke`: straight at the store, or by a running gateway. */
export function createRevokeCommand(context: CliContext): Command {
  const command = new Command('revoke')
    .description('end sessions: their rows go, their cookies are worth nothing from then on')
    .argument('[public-id...]')
  addMatchOptions(command, 'all sessions')
    .option('--json', 'how many, and which, as one JSON document')
    .addHelpText('after', '\nExample:\n  sessiongate sessions revoke 0mHNQ3bYw5Yl5tqcKQ8y0g')
    .action(async (typed: string[], options: Options) => {
      const matching = readMatching(options)
      const ids = typed.map(readPublicId)
      if ((ids.length === 0) === (matching.kind === 'all'))
        throw new CommandError(
          exitCodes.usage,
          'name the public ids of sessions, or a user with --user, or a value with --key and --value',
        )
      if (isLive(options)) await revokeLive(context, ids, options)
      else await revokeStored(context, { ids, matching, options })
    })
  return addLiveOptions(command)
}

interface Wanted {
  readonly ids: readonly string[]
  readonly matching: Matching
  readonly options: Options
}

async function revokeStored(context: CliContext, { ids, matching, options }: Wanted): Promise<void> {
  const { config } = await readConfig(context, options.config)
  await using tools = await context.openSessionTools(config)
  if (!tools.engine.isServerSide)
    throw new CommandError(exitCodes.failed, 'signed_cookies keeps nothing that could be revoked')
  const ended: string[] = []
  using audit = openAudit(context, { event: 'admin_revoke', asked: askedOf(matching) })
  const onEnded = (id: string): void => {
    ended.push(id)
    audit.count += 1
    if (!options.json) context.print(`revoked ${id}\n`)
  }
  try {
    if (matching.kind === 'user') await revokeUser(context, tools, { user: matching.user, onEnded })
    else if (matching.kind === 'value') await revokeMatching(context, tools, { matching, onEnded })
    else await revokeIds(context, tools, { ids, onEnded, isQuiet: options.json === true })
  } finally {
    if (options.json) context.print(jsonLine({ revoked: ended.length, ids: ended }))
  }
}

/** As the API calls them. */
function askedOf({ kind }: Matching): readonly string[] {
  if (kind === 'all') return ['ids']
  return kind === 'user' ? ['user'] : ['key', 'value']
}

interface Ids {
  readonly ids: readonly string[]
  readonly onEnded: (id: string) => void
  readonly isQuiet: boolean
}

async function revokeIds(context: CliContext, tools: SessionTools, { ids, onEnded, isQuiet }: Ids): Promise<void> {
  const missing = new Set(ids)
  let isEmpty = true
  for await (const { key } of tools.engine.entries()) {
    isEmpty = false
    const id = tools.publicId(key)
    if (!missing.has(id)) continue
    missing.delete(id)
    if (await tools.engine.delete(key)) onEnded(id)
    else if (!isQuiet) context.print(`${id} has just ended by itself\n`)
    if (missing.size === 0) break
  }
  if (missing.size === 0) return
  judgeListing(context, tools, isEmpty)
  throw new CommandError(exitCodes.failed, `no such session: ${[...missing].join(' ')}`)
}

interface Matched {
  readonly matching: Extract<Matching, { kind: 'value' }>
  readonly onEnded: (id: string) => void
}

/** What it is when it is ended decides, not what it was when it was found. */
async function revokeMatching(context: CliContext, tools: SessionTools, { matching, onEnded }: Matched): Promise<void> {
  let isEmpty = true
  let count = 0
  for await (const { key, data } of tools.engine.entries()) {
    isEmpty = false
    if (!hasValue(data, matching)) continue
    const { kind } = await tools.engine.transition(key, (now) => ({
      kind: hasValue(now, matching) ? 'delete' : 'keep',
    }))
    if (kind !== 'deleted') continue
    count += 1
    onEnded(tools.publicId(key))
  }
  judgeListing(context, tools, isEmpty)
  if (count === 0) throw new CommandError(exitCodes.failed, printable(`no session is ${wordsOfMatching(matching)}`))
  context.tell(`${thousands(count)} ${count === 1 ? 'session' : 'sessions'} revoked\n`)
}
