import { type FileHandle, open } from 'node:fs/promises'
import { isErrno } from './store-failure.ts'

/**
 * Makes the names in a folder durable: a rename, a link or an unlink survives a power loss only after this. Without it
 * a session that was logged out could be back after the machine restarts. File systems that cannot sync a folder say
 * so, and give its names durability in their own time.
 */
export async function syncFolder(path: string, openFile: typeof open = open): Promise<void> {
  const folder: FileHandle = await openFile(path, 'r')
  try {
    await folder.sync()
  } catch (error) {
    if (!isErrno(error, 'EINVAL', 'ENOTSUP')) throw error
  } finally {
    await folder.close()
  }
}
