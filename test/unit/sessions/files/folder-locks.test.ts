import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createFolderLocks, type FolderLocks } from '../../../../src/sessions/files/folder-locks.ts'
import { turns, within } from '../../../support/deadline.ts'

interface Folder extends AsyncDisposable {
  readonly directory: string
  connect(timeoutMs?: number): FolderLocks
}

async function makeFolder(): Promise<Folder> {
  const stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'sessiongate-locks-'))
  stack.defer(() => rm(directory, { recursive: true }))
  return {
    directory,
    connect: (timeoutMs = 5000) => stack.use(createFolderLocks({ directory, timeoutMs })),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

const lockFolder = (directory: string) => join(directory, `.sessiongate-locks-${process.getuid?.() ?? 'user'}`)

describe('the locks of a session folder', () => {
  test('let one holder in at a time, of this connection or another', async () => {
    await using folder = await makeFolder()
    const [first, second] = [folder.connect(), folder.connect()]
    let inside = 0
    let most = 0
    const visit = async () => {
      most = Math.max(most, ++inside)
      await turns(2)
      inside--
    }
    await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? first : second).hold('abcdefgh', visit)))
    assert.equal(most, 1)
  })

  test('hand out what the task gives, and are free again after it threw', async () => {
    await using folder = await makeFolder()
    const [first, second] = [folder.connect(), folder.connect()]
    const failure = new Error('failed')
    const failing = first.hold('abcdefgh', () => Promise.reject(failure))
    await assert.rejects(failing, (error) => error === failure)
    assert.equal(await second.hold('abcdefgh', async () => 7), 7)
  })

  test('are refused in time when somebody does not let go', async () => {
    await using folder = await makeFolder()
    const { promise, resolve } = Promise.withResolvers<void>()
    const taken = Promise.withResolvers<void>()
    const held = folder.connect().hold('abcdefgh', () => {
      taken.resolve()
      return promise
    })
    await within('the lock to be held', taken.promise)
    const late = folder.connect(20).hold('abcdefgh', async () => assert.fail('not to be had'))
    await assert.rejects(late, { code: 'ERR_STORE_UNAVAILABLE' })
    resolve()
    await held
  })

  test('are let go of by the kernel when their holder is killed', async () => {
    await using folder = await makeFolder()
    const child = fork(join(import.meta.dirname, 'lock-holder.ts'), [folder.directory])
    const ended = once(child, 'exit')
    await within('the other process to hold the lock', once(child, 'message'))
    const refused = folder.connect(20).hold('abcdefgh', async () => assert.fail('not to be had'))
    await assert.rejects(refused, { code: 'ERR_STORE_UNAVAILABLE' })
    child.kill('SIGKILL')
    await ended
    assert.equal(await folder.connect().hold('abcdefgh', async () => 'mine'), 'mine')
  })

  test('leave nothing behind but empty files for their owner', async () => {
    await using folder = await makeFolder()
    await folder.connect().hold('abcdefgh', async () => {
      assert.equal((await stat(lockFolder(folder.directory))).mode & 0o777, 0o700)
    })
    for (const name of await readdir(lockFolder(folder.directory))) {
      assert.match(name, /^\d+\.lock$/)
      assert.equal((await stat(join(lockFolder(folder.directory), name))).size, 0)
    }
  })

  test('notice that their file was swept away as an old temporary one', async () => {
    await using folder = await makeFolder()
    const [first, second] = [folder.connect(), folder.connect()]
    await first.hold('abcdefgh', async () => {})
    await rm(lockFolder(folder.directory), { recursive: true })
    let inside = 0
    const visit = async () => {
      assert.equal(++inside, 1, 'both hold the lock, on different files')
      await turns(5)
      inside--
    }
    await Promise.all([second.hold('abcdefgh', visit), first.hold('abcdefgh', visit)])
  })

  const traps: [why: string, lay: (path: string, directory: string) => Promise<unknown>][] = [
    ['a folder that others may write to', async (path) => mkdir(path).then(() => chmod(path, 0o777))],
    ['a link to somewhere else', (path, directory) => symlink(directory, path)],
  ]
  for (const [why, lay] of traps) {
    test(`do not trust ${why}`, async () => {
      await using folder = await makeFolder()
      await lay(lockFolder(folder.directory), folder.directory)
      const hold = folder.connect().hold('abcdefgh', async () => assert.fail('not to be had'))
      await assert.rejects(hold, { code: 'ERR_STORE_UNAVAILABLE' })
    })
  }
})
