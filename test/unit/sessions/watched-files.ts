import { lstatSync, renameSync } from 'node:fs'
import * as nodeFiles from 'node:fs/promises'
import type { FileCalls } from '../../../src/sessions/files/session-folder.ts'

/** One call to the operating system, before it is made: its name, and the last part of the path it is about. */
export type BeforeCall = (call: string, path: string) => void

const watchedCalls: ReadonlySet<PropertyKey> = new Set(['writeFile', 'utimes', 'sync', 'close', 'stat', 'read'])

/**
 * `node:fs/promises`, with a look at every call before it is made: to write down their order, or to let one fail by
 * throwing. Calls of open files are named `file.sync` and so on.
 */
export function watchFiles(before: BeforeCall): FileCalls {
  return {
    ...nodeFiles,
    access: (path, mode) => watched('access', path, () => nodeFiles.access(path, mode)),
    rename: (from, to) => watched('rename', to, () => nodeFiles.rename(from, to)),
    unlink: (path) => watched('unlink', path, () => nodeFiles.unlink(path)),
    opendir: (path, options) => watched('opendir', path, () => nodeFiles.opendir(path, options)),
    lstat: (path, options) => watched('lstat', path, () => nodeFiles.lstat(path, options)),
    lstatSync: (path, options) => {
      before('lstat', nameOf(path))
      return lstatSync(path, options)
    },
    renameSync: (from, to) => {
      before('rename', nameOf(to))
      renameSync(from, to)
    },
    open: (path, flags, mode) =>
      watched('open', path, async () => watchHandle(await nodeFiles.open(path, flags, mode), String(path))),
  }

  async function watched<T>(call: string, path: unknown, make: () => Promise<T>): Promise<T> {
    before(call, nameOf(path))
    return await make()
  }

  function watchHandle(handle: nodeFiles.FileHandle, path: string): nodeFiles.FileHandle {
    return new Proxy(handle, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property)
        if (typeof value !== 'function') return value
        if (!watchedCalls.has(property)) return value.bind(target)
        return (...args: unknown[]) => {
          try {
            before(`file.${String(property)}`, nameOf(path))
          } catch (error) {
            // The descriptor goes with the process that this call stands for.
            if (property === 'close') void target.close()
            return Promise.reject(error)
          }
          return Reflect.apply(value, target, args)
        }
      },
    })
  }
}

/** An error as the operating system gives it, with the path that a real one has in its message. */
export function systemError(code: string, call: string, path: string): NodeJS.ErrnoException {
  const error = new Error(`${code}: no luck, ${call} '/somewhere/${path}'`)
  return Object.assign(error, { code, errno: -1, syscall: call, path: `/somewhere/${path}` })
}

function nameOf(path: unknown): string {
  return String(path).split('/').at(-1) ?? ''
}
