import { randomBytes } from 'node:crypto'
import { open, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type Diagnosis, fault, good, warning } from '../../lib/diagnosis.ts'
import { isErrno } from '../store-failure.ts'

/** Anybody may write there. */
const WORLD_WRITABLE = 0o002
/** Nobody may rename or delete what is another's. */
const STICKY = 0o1000
const WORLD_READABLE = 0o004

/** Whether session files can be made in that folder, and by whom else. The file that is made has no session's name, and goes. */
export async function examineSessionFolder(directory: string): Promise<Diagnosis[]> {
  try {
    const { mode } = await stat(directory)
    const file = join(directory, `.sessiongate-doctor-${randomBytes(8).toString('hex')}`)
    await (await open(file, 'wx', 0o600)).close()
    await unlink(file)
    return [
      good(`files can be written into ${directory} (one was, and is gone)`),
      ...diagnoseFolderMode(directory, mode),
    ]
  } catch (error) {
    if (!isErrno(error)) throw error
    const isMissing = error.code === 'ENOENT'
    const advice = isMissing ? 'make it: install -d -m 700 -o USER FOLDER' : 'let the user that runs the gateway own it'
    return [fault(`${directory} ${isMissing ? 'does not exist' : `cannot be written (${error.code})`}`, advice)]
  }
}

/** Who else gets at what lies in a folder with that mode. */
export function diagnoseFolderMode(directory: string, mode: number): Diagnosis[] {
  const octal = (mode & 0o7777).toString(8).padStart(4, '0')
  if ((mode & WORLD_WRITABLE) !== 0 && (mode & STICKY) === 0) {
    return [
      fault(`every user of this machine may replace what lies in ${directory} (${octal})`, `chmod 700 ${directory}`),
    ]
  }
  if ((mode & (WORLD_WRITABLE | WORLD_READABLE)) !== 0) {
    return [warning(`every user of this machine can look into ${directory} (${octal})`, `chmod 700 ${directory}`)]
  }
  return [good(`${directory} is closed to other users (${octal})`)]
}
