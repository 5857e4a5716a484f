import { randomBytes } from 'node:crypto'
import { lstat, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { loadConfig } from '../../config/loading.ts'
import type { Problem } from '../../config/problem.ts'
import { isErrno } from '../../sessions/store-failure.ts'
import { CommandError } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import type { Draft, DraftFile } from './draft.ts'

const WORLD_WRITABLE = 0o002

/**
 * What `check` says of a draft, before anything of it is written.
 *
 * @throws {ConfigError} when it is no configuration.
 */
export async function checkDraft(
  { files }: Draft,
  path: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly Problem[]> {
  const texts = new Map(files.map((file) => [resolve(file.path), Buffer.from(file.text)]))
  const { warnings } = await loadConfig({
    path,
    env,
    readFile: async (name) => texts.get(name) ?? (await readFile(name)),
  })
  return warnings
}

/**
 * Writes the files of a draft, the YAML last; secrets with mode 0600 in a folder of 0700 that no commit takes along. Gives
 * the paths that were written. A file that is there is an error, unless `isForced`; a key that is there always stays.
 *
 * @throws {CommandError} for a file that is there, and where others may put secrets of their own in the place of these;
 * nothing has been written then.
 */
export async function writeDraft({ files }: Draft, secrets: string, isForced: boolean): Promise<string[]> {
  const due: DraftFile[] = []
  if (files.some(({ kind }) => kind !== 'yaml')) await refuseForeign(secrets)
  for (const file of files) {
    const isThere = await exists(file.path)
    if (isThere && file.kind === 'key') {
      await refuseForeign(file.path)
      continue
    }
    if (isThere && !isForced)
      throw new CommandError(exitCodes.failed, `${file.path} is there already; --force writes it anew`)
    due.push(file)
  }
  if (due.some(({ kind }) => kind !== 'yaml')) await makeSecretFolder(secrets)
  for (const { path, text, kind } of due) {
    await mkdir(dirname(path), { recursive: true })
    await writeWhole(path, text, kind === 'yaml' ? 0o644 : 0o600)
  }
  return due.map(({ path }) => path)
}

/** What somebody else can write there, he knows: with a key that he has put there he makes sessions of anybody. */
async function refuseForeign(path: string): Promise<void> {
  if (!(await exists(path))) return
  const { mode, uid } = await stat(path)
  const own = process.geteuid?.()
  const isForeign = uid !== 0 && uid !== own && own !== 0
  if (!isForeign && (mode & WORLD_WRITABLE) === 0) return
  const why = isForeign ? 'belongs to another user' : 'can be written by every user of this machine'
  throw new CommandError(exitCodes.failed, `${path} ${why}, who would know the secrets in it: remove it first`)
}

async function makeSecretFolder(secrets: string): Promise<void> {
  await mkdir(secrets, { recursive: true, mode: 0o700 })
  const ignore = join(secrets, '.gitignore')
  if (!(await exists(ignore))) await writeWhole(ignore, '*\n', 0o644)
}

/** Under another name first: nobody finds half a file, and no link that lies there is followed. */
async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  const file = await open(draft, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
    await rename(draft, path)
  } catch (error) {
    await unlink(draft)
    throw error
  } finally {
    await file.close()
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false
    throw error
  }
}
