import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { openSecretFile } from '../../../src/lib/secret-file.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sessiongate-secret-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

test('a secret is made once, in a folder and a file of its owner alone', async () => {
  const path = join(folder, 'var/secret-key')
  const secret = await openSecretFile(path)
  assert.match(secret, /^[A-Za-z0-9_-]{64}$/)
  assert.equal(await openSecretFile(path), secret)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal((await stat(join(folder, 'var'))).mode & 0o777, 0o700)
  assert.deepEqual(await readdir(join(folder, 'var')), ['secret-key'])
})

test('many that ask at once get the same secret', async () => {
  const secrets = await Promise.all(Array.from({ length: 50 }, () => openSecretFile(join(folder, 'key'))))
  assert.equal(new Set(secrets).size, 1)
  assert.deepEqual(await readdir(folder), ['key'])
})

test('an operator’s own secret is taken without its final newline', async () => {
  await writeFile(join(folder, 'key'), `${'k'.repeat(40)}\n`)
  assert.equal(await openSecretFile(join(folder, 'key')), 'k'.repeat(40))
})

test('a secret that is empty or short is refused, with the way out', async () => {
  for (const text of ['', '\n', 'short']) {
    await writeFile(join(folder, 'key'), text)
    await assert.rejects(openSecretFile(join(folder, 'key')), /holds no usable secret: delete it for a new one/)
  }
})

test('a symbolic link is not followed', async () => {
  await writeFile(join(folder, 'elsewhere'), 'x'.repeat(64))
  await symlink(join(folder, 'elsewhere'), join(folder, 'key'))
  await assert.rejects(openSecretFile(join(folder, 'key')), { code: 'ELOOP' })
})
