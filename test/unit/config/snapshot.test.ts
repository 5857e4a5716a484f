import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { loadConfig } from '../../../src/config/loading.ts'
import { ConfigSnapshot, replayFiles } from '../../../src/config/snapshot.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sessiongate-snapshot-'))
})
after(() => rm(folder, { recursive: true }))

test('what was read once is read the same again, in another place too, whatever becomes of the files', async () => {
  const path = join(folder, 'a.yaml')
  const mark = join(folder, 'mark')
  const yaml = `version: 1
upstreams: { app: { servers: ["http://127.0.0.1:1"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, headers: { request: { X-Env: "\${file:${mark}}" } } }]`
  await writeFile(path, yaml)
  await writeFile(mark, 'first')
  const snapshot = new ConfigSnapshot()
  const envOf = async (readFile: ConfigSnapshot['read']): Promise<string | undefined> => {
    const { config } = await loadConfig({ path, env: {}, readFile })
    return config.routes[0]?.headers.request.get('X-Env')
  }
  assert.equal(await envOf(snapshot.read), 'first')
  assert.deepEqual([...snapshot.files.keys()], [path, mark])
  assert.equal(await snapshot.isCurrent(), true)
  await writeFile(mark, 'second')
  assert.equal(await snapshot.isCurrent(), false)
  await writeFile(path, 'broken: [')
  assert.equal(await envOf(replayFiles(snapshot.pack())), 'first')
})

test('a file that is gone is not as it was', async () => {
  const path = join(folder, 'gone')
  await writeFile(path, 'x')
  const snapshot = new ConfigSnapshot()
  await snapshot.read(path)
  await rm(path)
  assert.equal(await snapshot.isCurrent(), false)
})
