import { Command } from 'commander'
import { stringify } from 'yaml'
import { type Answer, cellOf, listOf, readAnswer } from './answers.ts'
import { type CliContext, CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { openOperatorClient } from './operator-client.ts'
import { addPlaceOptions, type PlaceOptions } from './operator-place.ts'
import { jsonOption } from './options.ts'
import { jsonLine, printable } from './printable.ts'
import { paperOf, tableText } from './table.ts'

interface Options extends PlaceOptions {
  readonly json?: boolean
}

/** `config show|diff`: what the running gateway works with, and how that differs from its file. */
export function createConfigCommand(context: CliContext): Command {
  const config = new Command('config')
    .description('see which configuration is in force, and whether the file says the same')
    .addHelpText('after', '\nExample:\n  sessiongate config diff')
  config.addCommand(createShowCommand(context))
  config.addCommand(createDiffCommand(context))
  return config
}

/** `reload`: as SIGHUP, with the outcome. */
export function createReloadCommand(context: CliContext): Command {
  return addPlaceOptions(
    new Command('reload')
      .description('have the running gateway read its configuration again; 78 if it refuses it')
      .addOption(jsonOption())
      .addHelpText('after', '\nExample:\n  sessiongate reload')
      .action(async (options: Options) => {
        await using gateway = await openOperatorClient(context, options)
        const value = await gateway.ask('/api/reload', { body: {} })
        const { taken, hash, problems } = readAnswer(value)
        if (options.json) context.print(jsonLine(value))
        if (taken === true) {
          if (!options.json) context.print(`in force: ${printable(cellOf(hash))}\n`)
          return
        }
        if (!options.json) tellProblems(context, problems)
        throw new CommandError(exitCodes.configuration, 'refused: the configuration before stays in force')
      }),
  )
}

function createShowCommand(context: CliContext): Command {
  return addPlaceOptions(
    new Command('show')
      .description('print the configuration in force, with defaults filled in; secrets are [redacted]')
      .option('--json', 'the answer of the API as one JSON document; default the same in YAML')
      .addHelpText('after', '\nExample:\n  sessiongate config show --json')
      .action(async (options: Options) => {
        const { answer, view } = await configurationOf(context, options)
        if (options.json) context.print(jsonLine(answer))
        else context.print(linesOf(stringify(view.in_force, { lineWidth: 0 })))
      }),
  )
}

function createDiffCommand(context: CliContext): Command {
  return addPlaceOptions(
    new Command('diff')
      .description('list where the file differs from what is in force; 78 if it cannot be used')
      .option('--exit-code', 'end with 1 if it differs')
      .addOption(jsonOption())
      .addHelpText('after', '\nExample:\n  sessiongate config diff --exit-code')
      .action(async (options: Options & { exitCode?: boolean }) => {
        const { answer, file } = await configurationOf(context, options)
        const differences = listOf(file.differences)
        if (options.json) context.print(jsonLine(answer))
        if (file.is_valid === false) {
          if (!options.json) tellProblems(context, file.problems)
          throw new CommandError(exitCodes.configuration, `${printable(cellOf(file.path))} cannot be used as it is`)
        }
        if (!options.json) context.print(differencesText(context, differences, cellOf(file.path)))
        if (options.exitCode && differences.length > 0) throw new CommandError(exitCodes.failed, '')
      }),
  )
}

async function configurationOf(
  context: CliContext,
  options: Options,
): Promise<{ readonly answer: unknown; readonly view: Answer; readonly file: Answer }> {
  await using gateway = await openOperatorClient(context, options)
  const answer = await gateway.ask('/api/configuration')
  const view = readAnswer(answer)
  return { answer, view, file: readAnswer(view.file) }
}

function differencesText(context: CliContext, differences: readonly Answer[], path: string): string {
  if (differences.length === 0) return `${printable(path)} says what is in force\n`
  const rows = differences.map(({ path, in_force, in_file }) => [cellOf(path), valueText(in_force), valueText(in_file)])
  return tableText(['KEY', 'IN FORCE', 'IN THE FILE'], rows, paperOf(context))
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}

function tellProblems(context: CliContext, problems: unknown): void {
  for (const { file, line, message } of listOf(problems)) {
    const place = typeof file === 'string' ? `${file}${typeof line === 'number' ? `:${line}` : ''}: ` : ''
    context.tell(`${printable(`${place}${cellOf(message)}`)}\n`)
  }
}

function linesOf(text: string): string {
  return text.split('\n').map(printable).join('\n')
}
