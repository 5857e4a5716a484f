import assert from 'node:assert/strict'
import { mkdir, mkdtempDisposable, readdir, rename } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { type FaultStage, openFaultStage } from './store-fault-stage.ts'

const database = { sections: 'database: { url: "sqlite:new.sqlite3", create: true }' }
const inFiles = ['engine: file', 'file_path: old']
const stepOne = [...inFiles, 'read_also: { engine: db, move: false }']
const stepTwo = ['engine: db', 'read_also: { engine: file, file_path: old }']

/** What the app is told of whoever has that cookie, while it answers with these lines. */
async function told(stage: FaultStage, cookie: string, ...lines: string[]): Promise<Record<string, unknown>> {
  const answer = await stage.ask('holder', cookie, lines.length === 0 ? {} : { Say: lines.join('\n') })
  assert.equal(answer.status, 200, answer.body)
  return JSON.parse(answer.body)
}

async function storesWith(folder: string, cookie: string): Promise<string[]> {
  const key = cookie.slice('sessionid='.length)
  using rows = new DatabaseSync(join(folder, 'new.sqlite3'), { timeout: 5000 })
  const row = rows.prepare('SELECT 1 FROM django_session WHERE session_key = ?').get(key)
  const files = await readdir(join(folder, 'old'))
  return [...(files.includes(`sessionid${key}`) ? ['old'] : []), ...(row === undefined ? [] : ['new'])]
}

test('a change of stores, gateway by gateway, logs nobody out and brings nobody back', async () => {
  await using own = await mkdtempDisposable(join(tmpdir(), 'sessiongate-moving-'))
  const folder = own.path
  await mkdir(join(folder, 'old'))
  // The new store is there, with its table, before anything moves.
  await (await openFaultStage(['engine: db'], { ...database, folder }))[Symbol.asyncDispose]()
  const before = await openFaultStage(inFiles, { folder })
  const [ada, bob] = [await before.logIn(), await before.logIn()]
  await before[Symbol.asyncDispose]()

  await using first = await openFaultStage(stepOne, { ...database, folder })
  await using second = await openFaultStage(stepTwo, { ...database, folder })
  for (const stage of [first, second]) assert.deepEqual(await told(stage, ada), { userInfo: { id: 1 } })
  assert.deepEqual(await storesWith(folder, ada), ['old'])

  await told(first, ada, 'X-Session-Set: {"n":1}')
  assert.deepEqual(await storesWith(folder, ada), ['old'], 'a gateway of the first step moves nothing')
  await told(second, ada, 'X-Session-Set: {"n":2}')
  assert.deepEqual(await storesWith(folder, ada), ['new'])
  for (const stage of [first, second]) assert.deepEqual(await told(stage, ada), { userInfo: { id: 1 }, n: 2 })
  await told(first, ada, 'X-Session-Set: {"n":3}')
  assert.deepEqual(await told(second, ada), { userInfo: { id: 1 }, n: 3 })

  const [carl, dora] = [await first.logIn(), await second.logIn()]
  assert.deepEqual([await storesWith(folder, carl), await storesWith(folder, dora)], [['old'], ['new']])
  for (const cookie of [carl, dora]) {
    await told(first, cookie, 'X-Session-Command: flush')
    for (const stage of [first, second]) assert.deepEqual(await told(stage, cookie), {})
    assert.deepEqual(await storesWith(folder, cookie), [])
  }

  await rename(join(folder, 'old'), join(folder, 'away'))
  assert.deepEqual(await told(second, ada), { userInfo: { id: 1 }, n: 3 }, 'what has moved does not need the old store')
  const answer = await second.ask('holder', bob)
  assert.deepEqual([answer.status, answer.headers['set-cookie']], [503, undefined])
  await told(second, ada)
  assert.equal(await second.readyz(), 200)
  const isOld = (line: { msg: string; store?: unknown }): boolean => line.store === 'read_also'
  const line = await second.gateway.logged('the state of the old store', isOld)
  assert.equal(line.msg, 'session store is down')
  const metrics = await (await fetch(`${second.gateway.operatorUrl}/metrics`)).text()
  assert.match(metrics, /^sessiongate_store_up\{store="read_also"\} 0$/m)
  assert.match(metrics, /^sessiongate_store_up\{store="db"\} 1$/m)
  await rename(join(folder, 'away'), join(folder, 'old'))
  await second.untilServed(bob)
  await told(second, bob, 'X-Session-Set: {"n":1}')
  assert.deepEqual(await storesWith(folder, bob), ['new'])
})
