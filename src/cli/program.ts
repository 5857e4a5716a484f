import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config/problem.ts'
import { createCheckCommand } from './check.ts'
import { createCompletionCommand } from './completion.ts'
import { createConfigCommand, createReloadCommand } from './configuration.ts'
import { type CliContext, CommandError } from './context.ts'
import { createDoctorCommand } from './doctor.ts'
import { exitCodes } from './exit-codes.ts'
import { createExplainCommand } from './explain.ts'
import { wordsOf } from './failure-words.ts'
import { createHealthcheckCommand } from './healthcheck.ts'
import { createInitCommand } from './init.ts'
import { createKeysCommand } from './keys.ts'
import { shieldPublicId } from './options.ts'
import { createRoutesCommand } from './routes.ts'
import { createSchemaCommand } from './schema.ts'
import { createServeCommand } from './serve.ts'
import { createSessionsCommand } from './sessions.ts'
import { createStatusCommand } from './status.ts'
import { createStoreCommand } from './store.ts'
import { createTailCommand } from './tail.ts'
import { createUpstreamsCommand } from './upstreams.ts'

/** Runs one command line (without node and script) and gives the exit code; never throws for what a user did wrong. */
export async function runProgram(args: readonly string[], context: CliContext): Promise<number> {
  const program = createProgram(context)
  try {
    await program.parseAsync(args.map(shieldPublicId), { from: 'user' })
    return exitCodes.fine
  } catch (error) {
    return exitCodeOf(error, context)
  }
}

/** The tree of all commands. */
export function createProgram(context: CliContext): Command {
  const program = new Command('sessiongate')
    .description('A session gateway in front of apps that know nothing of it')
    .version(context.version)
    .addHelpText('after', '\nExample:\n  sessiongate serve --config config/sessiongate.yaml')
  const commands = [
    createServeCommand(context),
    createCheckCommand(context),
    createExplainCommand(context),
    createSessionsCommand(context),
    createKeysCommand(context),
    createSchemaCommand(context),
    createHealthcheckCommand(context),
    createStatusCommand(context),
    createRoutesCommand(context),
    createUpstreamsCommand(context),
    createStoreCommand(context),
    createConfigCommand(context),
    createReloadCommand(context),
    createTailCommand(context),
    createCompletionCommand(context, () => program),
    createDoctorCommand(context),
    createInitCommand(context),
  ]
  for (const command of commands) program.addCommand(command)
  for (const command of withDescendants(program)) {
    command.exitOverride().configureOutput({ writeOut: context.print, writeErr: context.tell })
  }
  return program
}

function withDescendants(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withDescendants)]
}

function exitCodeOf(error: unknown, context: CliContext): number {
  // Commander has printed its own words already; `--help` and `--version` end with 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage
  if (error instanceof ConfigError) {
    context.tell(`${error.message}\n`)
    return exitCodes.configuration
  }
  if (error instanceof CommandError) {
    if (error.message !== '') context.tell(`sessiongate: ${error.message}\n`)
    return error.exitCode
  }
  context.tell(`sessiongate: ${wordsOf(error)}\n`)
  return exitCodes.failed
}
