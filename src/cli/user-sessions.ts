import { Command } from 'commander'
import type { SessionEntry } from '../sessions/engine.ts'
import type { UserSessions } from '../sessions/user-sessions.ts'
import { hasValue } from '../sessions/value-query.ts'
import { type CliContext, CommandError, type SessionTools } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import type { Matching } from './matching.ts'
import { createProgress, thousands } from './progress.ts'
import { configOption, readConfig } from './reading.ts'

/** Why a store that does not know what it holds is of no use here. */
const UNLISTED = 'this store cannot say what it holds'

/**
 * The sessions that there are, those with a value, or a user's: from the index where there is one, else by looking into every session.
 *
 * @throws {CommandError} where the store cannot tell them, or nothing tells whose they are.
 */
export async function* listSessions(
  context: CliContext,
  tools: SessionTools,
  which: Matching,
): AsyncIterable<SessionEntry> {
  const isOfUser = which.kind === 'user'
  const entries = isOfUser ? sessionsOfUsers(context, tools).of(which.user) : tools.engine.entries()
  let isEmpty = true
  for await (const entry of entries) {
    isEmpty = false
    if (which.kind !== 'value' || hasValue(entry.data, which)) yield entry
  }
  if (!isOfUser || tools.userSessions?.index === undefined) judgeListing(context, tools, isEmpty)
}

/** What a listing that ended here is worth: of a store that does not list, nothing, and of two of which one does not, half. */
export function judgeListing(context: CliContext, { engine, userSessions }: SessionTools, isEmpty: boolean): void {
  if (engine.lists) return
  if (!engine.isServerSide)
    throw new CommandError(exitCodes.failed, 'signed_cookies keeps no session that could be listed')
  if (isEmpty) {
    const instead = userSessions?.index === undefined ? 'with session.user_index' : 'with --user'
    throw new CommandError(
      exitCodes.failed,
      `${UNLISTED}, so its sessions cannot be listed; ${instead} those of a user are found`,
    )
  }
  context.tell('there may be more: one of the stores cannot say what it holds\n')
}

/** Ends all sessions of a user. @throws {CommandError} if there are none. */
export async function revokeUser(
  context: CliContext,
  tools: SessionTools,
  { user, onEnded }: { readonly user: string; readonly onEnded: (id: string) => void },
): Promise<void> {
  const { end, index } = sessionsOfUsers(context, tools)
  let count = 0
  for await (const key of end(user)) {
    onEnded(tools.publicId(key))
    count += 1
  }
  if (index === undefined) judgeListing(context, tools, count === 0)
  if (count === 0) throw new CommandError(exitCodes.failed, `no session is of the user ${JSON.stringify(user)}`)
  context.tell(`${thousands(count)} ${count === 1 ? 'session' : 'sessions'} revoked\n`)
}

/** `sessions index`: for a store that had sessions before it had an index of users. */
export function createIndexCommand(context: CliContext): Command {
  return new Command('index')
    .description('note the user of every session, once, after session.user_index was switched on')
    .option('--json', 'the count as one JSON object, and no progress')
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  sessiongate sessions index')
    .action(async (options: { config: string; json?: boolean }) => {
      const { config } = await readConfig(context, options.config)
      await using tools = await context.openSessionTools(config)
      const index = tools.userSessions?.index
      if (index === undefined)
        throw new CommandError(exitCodes.usage, 'there is no index of users: session.user_index is not set')
      const noted = await noteAll(context, { tools, index, isQuiet: options.json ?? false })
      context.print(options.json ? `${JSON.stringify({ noted })}\n` : `${thousands(noted)} sessions of users noted\n`)
    })
}

interface Noting {
  readonly tools: SessionTools
  readonly index: NonNullable<UserSessions['index']>
  readonly isQuiet: boolean
}

async function noteAll(context: CliContext, { tools, index, isQuiet }: Noting): Promise<number> {
  const progress = createProgress({ context, what: 'looked into', isQuiet })
  let looked = 0
  try {
    const noted = await index.noteAll((seen) => {
      looked = seen
      progress.show(seen)
    })
    if (looked > 0 || tools.engine.lists) return noted
  } finally {
    progress.end()
  }
  const instead = 'each is noted when it is next used'
  throw new CommandError(exitCodes.failed, `${UNLISTED}, so its sessions cannot be noted; ${instead}`)
}

function sessionsOfUsers(context: CliContext, { userSessions }: SessionTools): UserSessions {
  if (userSessions === undefined)
    throw new CommandError(exitCodes.usage, 'whose a session is cannot be told: session.user_id is not set')
  if (userSessions.index === undefined) context.tell('there is no index of users: every session is looked into\n')
  return userSessions
}
