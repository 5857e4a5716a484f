import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { checkout, findProgram, isExecutable } from './program.ts'

/** Compiling takes minutes, once. */
const BUILD_DEADLINE_MS = 15 * 60_000

export interface GoSource {
  /** What the program is called. */
  readonly name: string
  readonly module: string
  /** Of the module, `v1.2.3`. */
  readonly version: string
  /** The folder of the module that has the program; default its root. */
  readonly command?: string
}

export interface GoProgram {
  readonly path: string
  readonly version: string
  /** Builds the program if it is not there. Says why it cannot, in words. */
  lack(): Promise<string | undefined>
}

/** A program that Go's own tool fetches and builds. It is kept in `bench/var`, which git ignores. */
export function openGoProgram({ name, module, version, command = '' }: GoSource): GoProgram {
  const folder = join(checkout, 'bench/var', `${name}-${version}`)
  const path = join(folder, name)
  const build = async (go: string): Promise<void> => {
    await mkdir(folder, { recursive: true })
    // A module of our own that needs it, because `go install` refuses some programs that are built like this.
    await writeFile(join(folder, 'go.mod'), `module peer\n\ngo 1.21\n\nrequire ${module} ${version}\n`)
    const args = ['build', '-mod=mod', '-o', path, `${module}${command}`]
    await promisify(execFile)(go, args, { cwd: folder, timeout: BUILD_DEADLINE_MS })
  }
  return {
    path,
    version: version.slice(1),
    async lack() {
      if (isExecutable(path)) return undefined
      const go = findProgram('go')
      if (go === undefined) return 'Go is not installed'
      process.stderr.write(`building ${name} ${version}; this takes some minutes, once\n`)
      try {
        await build(go)
        return undefined
      } catch (error) {
        return `it cannot be built: ${error instanceof Error ? error.message.trim().split('\n').at(-1) : error}`
      }
    },
  }
}
