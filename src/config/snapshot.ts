import { readFile } from 'node:fs/promises'

/** Files as they were read: path and bytes in base64, so that another process can be sent them. Secrets are among them. */
export type FileSnapshot = readonly (readonly [path: string, base64: string])[]

/**
 * The files of a configuration as they were when it was read: the YAML, and those that `${file:…}` names. Somebody who
 * reads through it afterwards gets the very same configuration, whatever has become of the files.
 */
export class ConfigSnapshot {
  readonly #files = new Map<string, Uint8Array>()

  /** By absolute path. */
  get files(): ReadonlyMap<string, Uint8Array> {
    return this.#files
  }

  /** Reads a file the first time, and gives the same bytes from then on. For `loadConfig`. */
  readonly read = async (path: string): Promise<Uint8Array> => {
    const known = this.#files.get(path)
    if (known !== undefined) return known
    const bytes = await readFile(path)
    this.#files.set(path, bytes)
    return bytes
  }

  /** What was read so far. */
  pack(): FileSnapshot {
    return [...this.#files].map(([path, bytes]) => [path, Buffer.from(bytes).toString('base64')])
  }

  /** Whether the files hold now what they held then; no, if one cannot be read. */
  async isCurrent(): Promise<boolean> {
    for (const [path, bytes] of this.#files) {
      const now = await readFile(path).catch(() => undefined)
      if (now?.equals(bytes) !== true) return false
    }
    return true
  }
}

/** Gives back the bytes of a snapshot, whatever is on the disk by now. Rejects with ENOENT for what it does not hold. */
export function replayFiles(files: FileSnapshot): (path: string) => Promise<Uint8Array> {
  const known = new Map(files)
  return async (path) => {
    const base64 = known.get(path)
    if (base64 === undefined) throw Object.assign(new Error(`${path} is not in the snapshot`), { code: 'ENOENT' })
    return Buffer.from(base64, 'base64')
  }
}
