import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { delimiter, dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { within } from './deadline.ts'

export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  readonly cwd: string
  readonly env?: NodeJS.ProcessEnv
  /** Default 120,000: what is run may fetch packages. */
  readonly deadlineMs?: number
}

/** Runs a program to its end and tells what it said. Never rejects for an exit code. */
export async function runCommand(
  program: string,
  args: readonly string[],
  { cwd, env = cleanEnvironment(), deadlineMs = 120_000 }: CommandOptions,
): Promise<CommandResult> {
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: deadlineMs })
  const output = Promise.all([text(child.stdout), text(child.stderr)])
  const [code] = await within(`${program} ${args.join(' ')}`, once(child, 'exit'), deadlineMs + 1000)
  const [stdout, stderr] = await output
  return { code, stdout, stderr }
}

/** PATH without the checkout's own programs, and the given folders first. */
export function cleanPath(...first: readonly string[]): string {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  return [...first, ...folders].join(delimiter)
}

/** What somebody has who just opened a terminal with this Node: nothing of npm's, of ours, or of the test runner's. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = ['HOME', 'LANG', 'TMPDIR', 'NODE_EXTRA_CA_CERTS', 'npm_config_registry', 'npm_config_cache']
  const env = Object.fromEntries(kept.map((name) => [name, process.env[name]]))
  return { ...env, PATH: cleanPath(dirname(process.execPath)), npm_config_update_notifier: 'false' }
}

/** What a program of ours gets beside what a test gives it. `scripts/test.ts` has its compiled code kept: starts take half as long. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const { PATH = '', NODE_COMPILE_CACHE } = process.env
  return NODE_COMPILE_CACHE === undefined ? { PATH } : { PATH, NODE_COMPILE_CACHE }
}

/** The path of a Node on this machine that is older than that; undefined when there is none. */
export function findOldNode(below: number): string | undefined {
  const folders = cleanPath('/usr/bin').split(delimiter)
  return folders.map((folder) => `${folder}/node`).find((node) => (majorOf(node) ?? below) < below)
}

function majorOf(node: string): number | undefined {
  try {
    const version = execFileSync(node, ['-p', 'process.versions.node'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return Number(version.split('.')[0])
  } catch {
    return undefined
  }
}
