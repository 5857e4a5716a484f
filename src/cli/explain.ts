import { Command } from 'commander'
import { type Answer, listOf, readAnswer, textOf } from './answers.ts'
import { type CliContext, CommandError, type ExplainQuestion, type Explanation } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { openOperatorClient } from './operator-client.ts'
import { addLiveOptions, isLive, type LiveOptions } from './operator-place.ts'
import { readPublicId } from './options.ts'
import { jsonLine, printable } from './printable.ts'
import { readConfig } from './reading.ts'

/** `explain`: what the rules do to a request, without sending one. */
export function createExplainCommand(context: CliContext): Command {
  const command = new Command('explain')
    .description('say which route a request meets, which rule decides, and what the app would get')
    .argument('<method>', 'GET, POST, …')
    .argument('<url>', 'a path, or an absolute URL')
    .option('--session <public-id>', 'as whom; `-` or nothing: as nobody')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  sessiongate explain GET /admin --config config/sessiongate.yaml')
    .action(async (method: string, url: string, options: LiveOptions & { session?: string; json?: boolean }) => {
      if (!/^[A-Z]+$/.test(method))
        throw new CommandError(exitCodes.usage, `${JSON.stringify(method)} is no method; they are in capitals`)
      const { session } = options
      const sessionId = session === undefined || session === '-' ? undefined : readPublicId(session)
      const question = { method, url, sessionId }
      if (isLive(options)) return await explainLive(context, question, options)
      const { config } = await readConfig(context, options.config)
      const explanation = await context.explain(config, question)
      context.print(options.json ? jsonLine(explanation) : explanationText(explanation))
    })
  return addLiveOptions(command)
}

/** By the configuration in force and the sessions that the gateway has. */
async function explainLive(
  context: CliContext,
  { method, url, sessionId }: ExplainQuestion,
  options: LiveOptions & { readonly json?: boolean },
): Promise<void> {
  await using gateway = await openOperatorClient(context, options)
  const body = { method, url, ...(sessionId === undefined ? {} : { session: sessionId }) }
  const answer = await gateway.ask('/api/explain', { body })
  context.print(options.json ? jsonLine(answer) : explanationText(explanationOf(readAnswer(answer))))
}

function explanationOf({ target, rules, outcome, headers_up, ...rest }: Answer): Explanation {
  const { route, goes_up_as, status, location, reason } = rest
  const optional = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
  return {
    target: textOf(target),
    route: optional(route),
    ...(typeof goes_up_as === 'string' ? { goesUpAs: goes_up_as } : {}),
    rules: listOf(rules).map(({ id, hit, missed_by }) => ({
      id: textOf(id),
      hit: hit === true,
      ...(typeof missed_by === 'string' ? { missedBy: missed_by } : {}),
    })),
    outcome: textOf(outcome),
    status: typeof status === 'number' ? status : undefined,
    location: optional(location),
    reason: optional(reason),
    headersUp: listOf(headers_up).map(({ name, value }) => ({ name: textOf(name), value: textOf(value) })),
  }
}

function explanationText(explanation: Explanation): string {
  const lines = [`request   ${explanation.target}`]
  for (const { id, hit, missedBy } of explanation.rules) {
    lines.push(`rule      ${hit ? 'hit ' : 'miss'}  ${id}${missedBy === undefined ? '' : `  (${missedBy})`}`)
  }
  lines.push(`route     ${explanation.route ?? '-'}`)
  if (explanation.goesUpAs !== undefined) lines.push(`goes up   ${explanation.goesUpAs}`)
  const reason = explanation.reason === undefined ? '' : `  (${explanation.reason})`
  lines.push(`outcome   ${explanation.outcome}${reason}`)
  if (explanation.status !== undefined) lines.push(`answer    ${explanation.status}`)
  if (explanation.location !== undefined) lines.push(`location  ${explanation.location}`)
  for (const { name, value } of explanation.headersUp) lines.push(`header    ${name}: ${value}`)
  return lines.map((line) => `${printable(line)}\n`).join('')
}
