import type { Path } from './path.ts'
import type { FileCache, FileConfig, FileDatabase } from './schema/file.ts'

/** An engine that the file puts to use, and what it stands on. */
export interface EngineInUse {
  readonly name: FileConfig['session']['engine']
  /** The mapping that names it: `session`, or `session.read_also`. */
  readonly path: Path
  /** For db and cached_db; at `path`. */
  readonly database: { readonly value: FileDatabase; readonly path: Path } | undefined
  /** For cache and cached_db; at `path`. No `value`: the file has no cache of that name. */
  readonly cache: { readonly value: FileCache | undefined; readonly alias: string; readonly path: Path } | undefined
  /** Of the engine file; undefined = the temporary directory. */
  readonly filePath: string | undefined
}

/** The engine of the sessions, and the one of `read_also` where there is one. */
export function enginesInUse(file: FileConfig): EngineInUse[] {
  return [mainEngine(file), readAlsoEngine(file)].filter((engine) => engine !== undefined)
}

/** The engine of the sessions. */
export function mainEngine(file: FileConfig): EngineInUse {
  const { session, database } = file
  return engineInUse(file, session, {
    name: session.engine,
    path: ['session'],
    database: { value: database, path: ['database'] },
  })
}

/** The engine that is looked in for what the other one lacks. */
export function readAlsoEngine(file: FileConfig): EngineInUse | undefined {
  const { read_also: also } = file.session
  if (also === undefined) return undefined
  const path = ['session', 'read_also']
  return engineInUse(file, also, {
    name: also.engine,
    path,
    database:
      also.database === undefined
        ? { value: file.database, path: ['database'] }
        : { value: also.database, path: [...path, 'database'] },
  })
}

interface Naming {
  readonly cache_alias: string
  readonly file_path?: string | undefined
}

function engineInUse(
  { caches }: FileConfig,
  { cache_alias: alias, file_path: filePath }: Naming,
  { name, path, database }: Pick<EngineInUse, 'name' | 'path' | 'database'>,
): EngineInUse {
  const value = Object.hasOwn(caches, alias) ? caches[alias] : undefined
  return {
    name,
    path,
    database: name === 'db' || name === 'cached_db' ? database : undefined,
    cache: name === 'cache' || name === 'cached_db' ? { value, alias, path: ['caches', alias] } : undefined,
    filePath,
  }
}
