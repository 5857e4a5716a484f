import { cp, mkdir, stat } from 'node:fs/promises'
import { basename, join, posix } from 'node:path'

/** One instruction, its continuation lines joined: `COPY`, `--from=build /app/dist /app/dist`. */
export interface Instruction {
  readonly name: string
  readonly rest: string
}

/** A stage as folders on this machine: `root` stands for its `/`. */
export interface Stage {
  readonly root: string
  workdir: string
}

export function parseDockerfile(text: string): Instruction[] {
  const lines = text
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n\s*/g, '')
    .split('\n')
  return lines
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, name = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line.trim()) ?? []
      return { name, rest }
    })
}

/** The words of `CMD ["a", "b"]`. */
export function readExecForm(rest: string): string[] {
  return JSON.parse(rest.slice(rest.indexOf('[')))
}

export interface CopySources {
  /** What is not `--from` a stage comes from here. */
  readonly context: string
  readonly stages: ReadonlyMap<string, Stage>
}

/** What COPY does: folders give their contents, several sources or a final `/` make the destination a folder. */
export async function replayCopy(stage: Stage, rest: string, { context, stages }: CopySources): Promise<string[]> {
  const words = rest.split(/\s+/)
  const from = /^--from=(.+)$/.exec(words[0] ?? '')?.[1]
  const paths = from === undefined ? words : words.slice(1)
  const destination = paths.at(-1) ?? ''
  const sources = paths.slice(0, -1)
  const sourceRoot = from === undefined ? context : stages.get(from)?.root
  if (sourceRoot === undefined) throw new Error(`no stage ${from}`)
  const target = join(stage.root, posix.resolve(stage.workdir, destination))
  const intoFolder = sources.length > 1 || destination.endsWith('/')
  for (const source of sources) {
    const origin = join(sourceRoot, source)
    const isFile = (await stat(origin)).isFile()
    const place = isFile && intoFolder ? join(target, basename(source)) : target
    await mkdir(join(place, '..'), { recursive: true })
    await cp(origin, place, { recursive: true, verbatimSymlinks: true })
  }
  return from === undefined ? sources : []
}
