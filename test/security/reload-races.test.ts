import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectRaw } from '../support/raw-client.ts'
import { putConfig, reloadBy } from '../support/reloads.ts'
import { openStage } from './stage.ts'

const configOf = (auth: 'public' | 'required', origin: string): string => `version: 1
listen: [{ address: "127.0.0.1:0" }]
admin: { listen: "127.0.0.1:0" }
upstreams: { app: { servers: ["${origin}"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: ${auth}, on_deny: status }]
`

const LANES = 12

test('a rule counts for the next request on every connection, however many are under way while it changes', async (t) => {
  await using stage = await openStage(configOf('public', 'APP'))
  /** Counts up with each beginning and each end of a change: odd while it happens. */
  let change = 0
  let auth: 'public' | 'required' = 'public'
  let isOver = false
  const told = { steady: 0, during: 0 }
  /** What was asked for while a session was asked of everybody, and so must not be seen by the app. */
  const guarded = new Set<string>()

  async function lane(name: string): Promise<void> {
    await using client = await connectRaw(stage.gateway.port)
    for (let number = 0; !isOver; number += 1) {
      const [began, rule] = [change, auth]
      // Two in one packet: the second is looked at when the first has its answer.
      const paths = [0, 1].map((part) => `/${name}/${number}/${part}`)
      if (began % 2 === 0 && rule === 'required') for (const path of paths) guarded.add(path)
      await client.send(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\nWait: 1\r\n\r\n`).join(''))
      for (const path of paths) {
        const { status } = await client.response()
        if (change !== began || began % 2 === 1) {
          guarded.delete(path)
          assert.ok(status === 200 || status === 401, `${path}: ${status}`)
          told.during += 1
          continue
        }
        assert.equal(status, rule === 'required' ? 401 : 200, path)
        told.steady += 1
      }
    }
  }
  const lanes = Array.from({ length: LANES }, (_, at) => lane(`lane${at}`))
  // A lane that fails ends the changes too.
  const failed = Promise.all(lanes)
  failed.catch(() => {
    isOver = true
  })
  for (let turn = 0; turn < 8 && !isOver; turn += 1) {
    const next = turn % 2 === 0 ? 'required' : 'public'
    change += 1
    const { msg } = await reloadBy(stage.gateway, () => putConfig(stage.gateway, configOf(next, stage.app.origin)))
    assert.equal(msg, 'configuration reloaded')
    auth = next
    change += 1
    const enough = told.steady + LANES * 4
    while (told.steady < enough && !isOver) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  isOver = true
  await failed
  const seen = stage.app.requests.filter(({ url }) => guarded.has(url)).map(({ url }) => url)
  assert.deepEqual(seen, [])
  assert.ok(told.steady > 300 && guarded.size > 100)
  t.diagnostic(`${told.steady} requests under a settled rule, ${told.during} while it changed`)
})
