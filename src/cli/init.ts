import { Command } from 'commander'
import type { CliContext } from './context.ts'
export function createInitCommand(_context: CliContext): Command {
  return new Command('init')
}
