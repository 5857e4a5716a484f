import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { link, mkdir, open, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/** 48 random bytes as base64url: 64 characters, more than any use of it needs. */
const SECRET_BYTES = 48
const SHORTEST_SECRET = 32

/**
 * The secret in that file, which is made at the first call: mode 0600, in a folder of mode 0700. Several processes may
 * call at once; all get the same secret. A symbolic link is not followed: whoever can place one could choose the secret.
 *
 * @throws {Error} when the file cannot be read or made, or holds less than 32 characters.
 */
export async function openSecretFile(path: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const secret = (await readSecret(path)) ?? (await makeSecret(path))
  if (secret.length < SHORTEST_SECRET) {
    throw new Error(
      `${path} holds no usable secret: delete it for a new one, or put at least ${SHORTEST_SECRET} characters into it`,
    )
  }
  return secret
}

async function readSecret(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      return (await file.readFile('utf8')).trim()
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Written whole under another name first and then linked, so that no other process ever reads half a secret. The link
 * fails if the name exists by now: then another process was faster, and its secret counts.
 */
async function makeSecret(path: string): Promise<string> {
  const draft = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`
  const secret = randomBytes(SECRET_BYTES).toString('base64url')
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(`${secret}\n`)
    await file.sync()
    await link(draft, path)
    return secret
  } catch (error) {
    const found =
      error instanceof Error && 'code' in error && error.code === 'EEXIST' ? await readSecret(path) : undefined
    if (found === undefined) throw error
    return found
  } finally {
    await file.close()
    await unlink(draft)
  }
}
