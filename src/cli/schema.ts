import { Command } from 'commander'
import { jsonSchemaText } from '../config/json-schema.ts'
import type { CliContext } from './context.ts'

/** `schema`: for editors, and for whoever generates configurations. */
export function createSchemaCommand(context: CliContext): Command {
  return new Command('schema')
    .description('print the JSON Schema (draft-07) of the configuration')
    .addHelpText('after', '\nExample:\n  sessiongate schema > sessiongate.schema.json')
    .action(() => context.print(jsonSchemaText()))
}
