import { Command } from 'commander'
import { adviceOn } from '../config/advice.ts'
import { ConfigError, formatProblems, type Problem } from '../config/problem.ts'
import { type CliContext, CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { configOption, readServedConfig } from './reading.ts'

/** `check`: everything that is wrong in the file at once, each with its place and the way out. */
export function createCheckCommand(context: CliContext): Command {
  return new Command('check')
    .description('say whether the configuration is sound, and what is wrong where')
    .option('--json', 'the problems as JSON')
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  sessiongate check --config config/sessiongate.yaml')
    .action(async (options: { config: string; json?: boolean }) => {
      const { problems, isSound, advice } = await problemsOf(context, options.config)
      if (options.json) context.print(`${JSON.stringify({ ok: isSound, problems, advice })}\n`)
      else if (problems.length > 0) context.tell(`${formatProblems(problems)}\n`)
      const errors = problems.filter(({ severity }) => severity === 'error').length
      const warnings = problems.length - errors
      if (!isSound)
        throw new CommandError(
          exitCodes.configuration,
          options.json ? '' : `${options.config}: ${count(errors, 'error')}, ${count(warnings, 'warning')}`,
        )
      if (options.json) return
      context.print(`${options.config}: sound, ${count(warnings, 'warning')}\n`)
      for (const text of advice) context.print(`\n${text}`)
    })
}

async function problemsOf(
  context: CliContext,
  path: string,
): Promise<{ problems: readonly Problem[]; isSound: boolean; advice: readonly string[] }> {
  try {
    const { warnings, config } = await readServedConfig(context, path)
    return { problems: warnings, isSound: true, advice: adviceOn(config) }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { problems: error.problems, isSound: false, advice: [] }
  }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
