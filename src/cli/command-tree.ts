import type { Command, Option } from 'commander'

/** One command, as a shell has to know it. */
export interface CommandNode {
  /** `sessions list`; '' for the program itself. */
  readonly place: string
  readonly about: string
  readonly commands: readonly { readonly name: string; readonly about: string }[]
  readonly options: readonly OptionNode[]
  /** Of the first argument, where it has some to choose from. */
  readonly choices: readonly string[]
}

export interface OptionNode {
  /** `--config`. */
  readonly flag: string
  readonly about: string
  /** What comes after it. */
  readonly value: 'none' | 'file' | 'choice' | 'text'
  readonly choices: readonly string[]
}

/** The command and all below it, as `--help` shows them. */
export function commandNodes(command: Command, place = ''): CommandNode[] {
  const help = command.createHelp()
  const below = help.visibleCommands(command).filter((one) => one.name() !== 'help')
  const node: CommandNode = {
    place,
    about: command.description(),
    commands: below.map((one) => ({ name: one.name(), about: one.description() })),
    options: help.visibleOptions(command).flatMap(optionNode),
    choices: command.registeredArguments[0]?.argChoices ?? [],
  }
  return [node, ...below.flatMap((one) => commandNodes(one, `${place} ${one.name()}`.trim()))]
}

function optionNode({ long, flags, description, argChoices, required, optional }: Option): OptionNode[] {
  if (long === undefined || long === null) return []
  const takesFile = /<(?:file|dir|folder)>/.test(flags)
  const value = argChoices !== undefined ? 'choice' : takesFile ? 'file' : required || optional ? 'text' : 'none'
  return [{ flag: long, about: description, value, choices: argChoices ?? [] }]
}
