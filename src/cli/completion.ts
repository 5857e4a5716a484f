import { Argument, Command } from 'commander'
import { commandNodes } from './command-tree.ts'
import { bashScript, fishScript, zshScript } from './completion-scripts.ts'
import type { CliContext } from './context.ts'

const shells = { bash: bashScript, zsh: zshScript, fish: fishScript } as const

/**
 * `completion bash|zsh|fish`: a script that knows the commands, options and choices of this version.
 *
 * @param program Asked when all commands are in it.
 */
export function createCompletionCommand(context: CliContext, program: () => Command): Command {
  return new Command('completion')
    .description('print a script with which the shell completes commands, options and files')
    .addArgument(new Argument('<shell>', 'whose').choices(Object.keys(shells)))
    .addHelpText(
      'after',
      '\nTo load it:\n  bash: source <(sessiongate completion bash)\n  zsh: source <(sessiongate completion zsh)\n' +
        '  fish: sessiongate completion fish | source\n\nExample:\n  sessiongate completion bash > /tmp/sessiongate.bash',
    )
    .action((shell: keyof typeof shells) => context.print(shells[shell](commandNodes(program()))))
}
