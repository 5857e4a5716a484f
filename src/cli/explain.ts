import { Command } from 'commander'
import { type CliContext, CommandError, type Explanation } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { readPublicId } from './options.ts'
import { configOption, readConfig } from './reading.ts'

/** `explain`: what the rules do to a request, without sending one. */
export function createExplainCommand(context: CliContext): Command {
  return new Command('explain')
    .description('say which route a request meets, which rule decides, and what the app would get')
    .argument('<method>', 'GET, POST, …')
    .argument('<url>', 'a path, or an absolute URL')
    .option('--session <public-id>', 'as whom; `-` or nothing: as nobody')
    .option('--json', 'as JSON')
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  sessiongate explain GET /admin --config config/sessiongate.yaml')
    .action(async (method: string, url: string, options: { config: string; session?: string; json?: boolean }) => {
      if (!/^[A-Z]+$/.test(method))
        throw new CommandError(exitCodes.usage, `${JSON.stringify(method)} is no method; they are in capitals`)
      const { config } = await readConfig(context, options.config)
      const { session } = options
      const sessionId = session === undefined || session === '-' ? undefined : readPublicId(session)
      const explanation = await context.explain(config, { method, url, sessionId })
      context.print(options.json ? `${JSON.stringify(explanation)}\n` : textOf(explanation))
    })
}

function textOf(explanation: Explanation): string {
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
  return `${lines.join('\n')}\n`
}
