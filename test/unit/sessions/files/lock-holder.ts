import { createFolderLocks } from '../../../../src/sessions/files/folder-locks.ts'

// Takes a lock, says so, and keeps it until it is killed.
await createFolderLocks({ directory: process.argv[2] ?? '', timeoutMs: 5000 }).hold('abcdefgh', async () => {
  process.send?.('held')
  await new Promise(() => setInterval(() => {}, 60_000))
})
