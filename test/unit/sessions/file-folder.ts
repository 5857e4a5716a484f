import assert from 'node:assert/strict'
import { readdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSessionKey } from '../../../src/django/session-key.ts'
import type { SessionEngine } from '../../../src/sessions/engine.ts'
import { createFileSessions } from '../../../src/sessions/engines/file.ts'
import type { FileCalls } from '../../../src/sessions/files/session-folder.ts'
import { EngineWorld } from '../../contract/session-engine-world.ts'

/** A folder of session files, and an engine on it. */
export interface Folder extends AsyncDisposable {
  readonly world: EngineWorld
  readonly directory: string
  readonly engine: SessionEngine
  pathOf(key: string): string
  /** An engine of another process on the same folder. */
  connect(files?: FileCalls): SessionEngine
  /** The names in the folder, apart from that of the locks. */
  names(): string[]
}

/** An empty folder, removed with everything in it when it is disposed of. */
export async function makeFolder(): Promise<Folder> {
  const world = new EngineWorld()
  const stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'sessiongate-file-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const connect = (files?: FileCalls) =>
    stack.use(
      createFileSessions({ ...world, directory, prefix: 'sessionid', lockTimeoutMs: 5000, ...(files && { files }) }),
    )
  return {
    world,
    directory,
    connect,
    engine: connect(),
    pathOf: (key) => join(directory, `sessionid${key}`),
    names: () => readdirSync(directory).filter((name) => !name.startsWith('.sessiongate-locks')),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Puts a file under a key, as if saved this moment. */
export async function plant(folder: Folder, key: string, text: string): Promise<void> {
  await writeFile(folder.pathOf(key), text, { mode: 0o600 })
  await utimes(folder.pathOf(key), folder.world.now / 1000, folder.world.now / 1000)
}

/** Writes beside and renames over, as Django does, without asking for a lock. */
export function rewriteAsDjango(folder: Folder, key: string, text: string): void {
  const draft = `${folder.pathOf(key)}_out_${createSessionKey().slice(0, 8)}`
  writeFileSync(draft, text)
  utimesSync(draft, folder.world.now / 1000, folder.world.now / 1000)
  renameSync(draft, folder.pathOf(key))
}

/** The session's members, which must be there. */
export async function dataOf(engine: SessionEngine, key: string): Promise<Record<string, string>> {
  const loaded = await engine.load(key)
  assert.ok(loaded.found)
  return Object.fromEntries(loaded.data)
}
