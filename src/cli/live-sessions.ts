import { type Answer, cellOf, isAnswer, listOf, readAnswer } from './answers.ts'
import { type CliContext, CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { type MatchOptions, readMatching, wireMatching, wordsOfMatching } from './matching.ts'
import { type OperatorClient, openOperatorClient } from './operator-client.ts'
import type { PlaceOptions } from './operator-place.ts'
import { jsonLine, printable } from './printable.ts'
import { thousands } from './progress.ts'
import { detailsText, paperOf, tableText } from './table.ts'
import { whileWaiting } from './waiting.ts'

/** What the gateway tells, and takes, in one answer. */
const PAGE = 1000

export interface LiveListOptions extends PlaceOptions, MatchOptions {
  readonly limit: number
  readonly all?: true
  readonly cursor?: string
  readonly json?: boolean
  readonly showKeys?: boolean
}

/** `sessions list` of the running gateway, page after page. */
export async function listLive(context: CliContext, options: LiveListOptions): Promise<void> {
  refuseKeys(options)
  const matching = readMatching(options)
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(wireMatching(matching)))
    query.set(name, name === 'value' ? JSON.stringify(value) : String(value))
  await using gateway = await openOperatorClient(context, options)
  const isQuiet = options.json === true
  const list = await whileWaiting(context, { what: 'looking', isQuiet }, (signal) =>
    collect(gateway, { query, options, signal }),
  )
  if (options.json) {
    context.print(jsonLine(list))
    return
  }
  const rows = list.sessions.map(({ id, user, expires_at, names }) =>
    [id, user, expires_at, namesOf(names)].map(cellOf),
  )
  context.print(tableText(['PUBLIC ID', 'USER', 'EXPIRES', 'KEYS IN IT'], rows, paperOf(context)))
  if (list.next !== null)
    context.tell(`there are more: --all shows them, and for a minute --cursor ${printable(list.next)} goes on\n`)
  if (!list.is_whole && matching.kind !== 'user')
    context.tell('there may be more: the store cannot tell all that it holds; --user finds those of a user\n')
}

interface Listing {
  readonly query: URLSearchParams
  readonly options: LiveListOptions
  readonly signal: AbortSignal
}

interface SessionPages {
  readonly sessions: readonly Answer[]
  readonly next: string | null
  readonly is_whole: boolean
}

async function collect(gateway: OperatorClient, { query, options, signal }: Listing): Promise<SessionPages> {
  const wanted = options.all ? Number.POSITIVE_INFINITY : options.limit
  const sessions: Answer[] = []
  let next: string | null = options.cursor ?? null
  let isWhole = true
  do {
    const page = next === null ? new URLSearchParams(query) : new URLSearchParams({ cursor: next })
    page.set('limit', String(Math.min(PAGE, wanted - sessions.length)))
    const answer = readAnswer(await gateway.ask(`/api/sessions?${page}`, { signal, isLong: true }))
    for (const session of listOf(answer.sessions)) sessions.push(session)
    next = typeof answer.next === 'string' ? answer.next : null
    isWhole &&= answer.is_whole !== false
  } while (next !== null && sessions.length < wanted)
  return { sessions, next, is_whole: isWhole }
}

/** `sessions show` of the running gateway, which tells values only where its configuration allows it. */
export async function showLive(
  context: CliContext,
  id: string,
  options: PlaceOptions & { readonly json?: boolean; readonly showKeys?: boolean },
): Promise<void> {
  refuseKeys(options)
  await using gateway = await openOperatorClient(context, options)
  const isQuiet = options.json === true
  const answer = await whileWaiting(context, { what: 'looking', isQuiet }, (signal) =>
    gateway.ask(`/api/sessions/${encodeURIComponent(id)}`, { signal, isLong: true }),
  )
  if (answer === undefined) throw new CommandError(exitCodes.failed, `no session has the public id ${printable(id)}`)
  if (options.json) {
    context.print(jsonLine(answer))
    return
  }
  const { user, expires_at, values_shown, data } = readAnswer(answer)
  const members = Object.entries(isAnswer(data) ? data : {})
  const pairs = [
    ['public id', id],
    ['user', cellOf(user)],
    ['expires', cellOf(expires_at)],
    ...members.map(([name, value]) => [`  ${name}`, values_shown === true ? JSON.stringify(value) : cellOf(value)]),
  ] as [string, string][]
  context.print(detailsText(pairs, paperOf(context)))
  if (values_shown !== true && members.length > 0)
    context.tell('what kind each is; with admin.show_values: true the gateway shows the values\n')
}

/** `sessions revoke` by the running gateway, in whatever store or memory it keeps them. */
export async function revokeLive(
  context: CliContext,
  ids: readonly string[],
  options: PlaceOptions & MatchOptions & { readonly json?: boolean },
): Promise<void> {
  const matching = readMatching(options)
  const bodies = matching.kind === 'all' ? pagesOf(ids).map((page) => ({ ids: page })) : [wireMatching(matching)]
  await using gateway = await openOperatorClient(context, options)
  const ended: string[] = []
  let revoked = 0
  for (const body of bodies) {
    const isQuiet = options.json === true
    const answer = await whileWaiting(context, { what: 'revoking', isQuiet }, (signal) =>
      gateway.ask('/api/sessions/revoke', { body, signal, isLong: true }),
    )
    const view = readAnswer(answer)
    revoked += Number(view.revoked)
    ended.push(...(Array.isArray(view.ids) ? view.ids.map(String) : []))
  }
  if (options.json) context.print(jsonLine({ revoked, ids: ended }))
  else {
    for (const id of ended) context.print(`revoked ${printable(id)}\n`)
    if (matching.kind !== 'all' && revoked > 0)
      context.tell(`${thousands(revoked)} ${revoked === 1 ? 'session' : 'sessions'} revoked\n`)
  }
  const missing = ids.filter((id) => !ended.includes(id))
  if (missing.length > 0) throw new CommandError(exitCodes.failed, printable(`no such session: ${missing.join(' ')}`))
  if (matching.kind !== 'all' && revoked === 0)
    throw new CommandError(exitCodes.failed, printable(`no session is ${wordsOfMatching(matching)}`))
}

function pagesOf(ids: readonly string[]): string[][] {
  const count = Math.ceil(ids.length / PAGE)
  return [...Array(count).keys()].map((at) => ids.slice(at * PAGE, (at + 1) * PAGE))
}

function namesOf(names: unknown): string {
  return Array.isArray(names) ? names.map((name) => printable(String(name))).join(' ') : '-'
}

/** Whoever has a key has the session: no gateway tells one. */
function refuseKeys({ showKeys }: { readonly showKeys?: boolean }): void {
  if (showKeys)
    throw new CommandError(exitCodes.usage, 'a gateway tells no session keys: --show-keys is for the store itself')
}
