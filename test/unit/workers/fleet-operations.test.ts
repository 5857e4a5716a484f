import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../../support/deadline.ts'
import type { FakeBehaviour } from '../../support/fake-worker.ts'
import { configOf, openFakeFleet } from './stage.ts'

/** Without the pauses that a machine is spared with. */
const atOnce = { waitMs: () => 0 }
/** That of `configOf`. */
const server = '127.0.0.1:8000'
const drain = '/upstreams/app/drain'

function done(value: unknown) {
  return { kind: 'done', value }
}

function upstreams(active: number, ...drained: readonly [string, boolean][]) {
  const servers = drained.map(([name, isDrained]) => ({
    server: name,
    up: true,
    drained: isDrained,
    ejections: active,
  }))
  return done([{ name: 'app', balance: 'round_robin', connections: { active, idle: 1, pending: 0 }, servers }])
}

function detailOf({ body }: { readonly body: unknown }): unknown {
  return (body as { detail?: string }).detail
}

describe('what one worker can answer', () => {
  const deaf: FakeBehaviour = { operated: { clearExpired: null } }
  const cases: [why: string, first: FakeBehaviour][] = [
    ['it does not take the question', deaf],
    ['it dies over it', { diesOperating: 'clearExpired' }],
    ['it answers with something else', { operated: { clearExpired: done('many') } }],
  ]
  for (const [why, first] of cases) {
    test(`is asked of the next one where ${why}`, async () => {
      await using stage = await openFakeFleet({ workers: 2, behaviours: [first, {}] })
      const answer = await stage.api('/store/clear-expired', {})
      assert.deepEqual(answer, { status: 200, body: { cleared: stage.children[1]?.pid } })
    })
  }

  test('is refused where none answers', async () => {
    await using stage = await openFakeFleet({ workers: 1, behaviours: [deaf] })
    const answer = await stage.api('/store/clear-expired', {})
    assert.deepEqual([answer.status, /no worker has answered/.test(String(detailOf(answer)))], [409, true])
  })

  test('is refused in the worker’s words, and no other is asked; what failed has been told by the worker', async () => {
    const operated = { clearExpired: { kind: 'refused', message: 'nothing to clear' }, store: { kind: 'failed' } }
    await using stage = await openFakeFleet({ workers: 2, behaviours: [{ operated }, {}] })
    const refused = await stage.api('/store/clear-expired', {})
    assert.deepEqual([refused.status, detailOf(refused)], [409, 'nothing to clear'])
    assert.equal((await stage.api('/store')).status, 500)
    assert.equal((await stage.logged('audit')).outcome, 'refused')
    assert.doesNotMatch(stage.lines.join(), /request failed/)
  })

  test('is waited for once it has begun, however long it takes, and asked of the next one when it is killed', async () => {
    await using stage = await openFakeFleet({ workers: 2, behaviours: [{ begins: 'clearExpired' }, {}] })
    const answer = stage.api('/store/clear-expired', {})
    await stage.logged('it has begun')
    stage.children[0]?.kill('SIGKILL')
    assert.deepEqual((await answer).body, { cleared: stage.children[1]?.pid })
  })
})

describe('a list of sessions', () => {
  const list = (next: string | null) => done({ sessions: [], next, is_whole: true })

  test('goes on where it was begun, and nowhere else', async () => {
    const first = { operated: { listSessions: list('one'), 'listSessions one': list(null) } }
    await using stage = await openFakeFleet({ workers: 2, behaviours: [first, {}], schedule: atOnce })
    const [{ pid } = assert.fail()] = stage.children
    assert.equal(((await stage.api('/sessions')).body as { next: string }).next, `${pid}.one`)
    assert.equal(((await stage.api(`/sessions?cursor=${pid}.one`)).body as { next: null }).next, null)
    stage.children[0]?.kill('SIGKILL')
    await stage.logged('worker ended, it is replaced')
    for (const cursor of [`${pid}.one`, 'one', '.one', '0.one']) {
      const answer = await stage.api(`/sessions?cursor=${cursor}`)
      assert.deepEqual([answer.status, detailOf(answer)], [409, 'no worker keeps this list any more; begin again'])
    }
  })
})

describe('upstreams', () => {
  test('are seen together: connections are summed, and it is said where a server is not drained', async () => {
    const behaviours = [
      { operated: { upstreams: upstreams(2, ['a:1', true], ['a:2', true]) } },
      { operated: { upstreams: upstreams(3, ['a:1', false], ['a:2', true], ['a:3', false]) } },
    ]
    await using stage = await openFakeFleet({ workers: 2, behaviours })
    const common = { name: 'app', balance: 'round_robin', connections: { active: 5, idle: 2, pending: 0 } }
    const pid = stage.children[1]?.pid
    const servers = [
      { server: 'a:1', up: true, drained: false, ejections: 5, not_drained_in: [pid] },
      { server: 'a:2', up: true, drained: true, ejections: 5 },
      { server: 'a:3', up: true, drained: false, ejections: 3 },
    ]
    assert.deepEqual((await stage.api('/upstreams')).body, [{ ...common, servers }])
  })

  test('a drained server is so in all workers, in those that come later, and under another configuration', async () => {
    await using stage = await openFakeFleet({ workers: 2, schedule: atOnce })
    assert.deepEqual((await stage.api(drain, { server })).body, { server, drained: true })
    const place = JSON.stringify([{ upstream: 'app', server }])
    const told = async (): Promise<unknown> => (await stage.ready()).checks.drained
    assert.equal(await told(), place)
    for (const child of [...stage.children]) child.kill('SIGKILL')
    await stage.logged('worker started', 4)
    assert.equal(await told(), place)
    await stage.fleet.apply(configOf(2, 'second'))
    await stage.fleet.roll()
    assert.equal(await told(), place)
    const { config, ...rest } = configOf(2, 'third')
    await stage.fleet.apply({ ...rest, config: { ...config, upstreams: new Map() } })
    await stage.fleet.roll()
    assert.equal(await told(), '[]', 'a server that is gone is forgotten')
  })

  test('where one does not answer, it is said where it is not drained; whoever takes its place has it', async () => {
    const behaviours = [{}, { operated: { setDrained: null } }, {}]
    await using stage = await openFakeFleet({ workers: 2, behaviours, schedule: atOnce })
    const answer = await stage.api(drain, { server })
    const pid = stage.children[1]?.pid
    assert.equal(answer.status, 409)
    assert.equal(detailOf(answer), `drained, but not in the workers that do not answer (pid ${pid}); ask again`)
    for (const child of [...stage.children]) child.kill('SIGKILL')
    await stage.logged('worker started', 4)
    assert.equal((await stage.ready()).checks.drained, JSON.stringify([{ upstream: 'app', server }]))
  })

  test('that no worker knows are not there, and nobody is told of them later', async () => {
    const operated = { setDrained: done(false) }
    await using stage = await openFakeFleet({ workers: 1, behaviours: [{ operated }, {}] })
    assert.equal((await stage.api(drain, { server: 'a:9' })).status, 404)
    await stage.fleet.roll()
    assert.equal((await stage.ready()).checks.drained, '[]')
  })
})

describe('those who watch', () => {
  test('get the requests of all workers, of those too that start later, and nobody sends any when they have gone', async () => {
    await using stage = await openFakeFleet({ workers: 2, schedule: atOnce })
    const first = new AbortController()
    const second = new AbortController()
    const watching = await stage.watch(first.signal)
    const alike = await stage.watch(second.signal)
    const isTold = (pid: number | undefined): boolean => watching.text().includes(`data: ${pid} on\n`)
    await until('both send', () => stage.children.every(({ pid }) => isTold(pid)))
    assert.match(watching.text(), /event: left_out\ndata: \{"count":3\}/)
    stage.children[0]?.kill('SIGKILL')
    await stage.logged('worker started', 3)
    await until('the new one sends', () => isTold(stage.children[2]?.pid))
    first.abort()
    await watching.reading
    const [, kept, late] = stage.children
    await until('both stay on', () => !alike.text().includes('off'))
    second.abort()
    await alike.reading
    const again = await stage.watch(AbortSignal.timeout(60_000))
    await until('both were off and are on again', () =>
      [kept, late].every((child) => again.text().includes(`data: ${child?.pid} on\n`)),
    )
  })
})

test('the overview tells of the workers that serve, and the audit line of a change stands there once', async () => {
  await using stage = await openFakeFleet({ workers: 2 })
  const { body } = await stage.api('/overview')
  const { workers, listen, version } = body as { workers: object[]; listen: string[]; version: string }
  assert.deepEqual([listen, version], [['fake:2'], '9'])
  assert.deepEqual(
    workers,
    stage.children.map(({ pid }, worker) => ({ worker, pid, version: '9', uptime_seconds: 0, ready: true })),
  )
  await stage.api('/store/clear-expired', {})
  await stage.logged('audit')
  await stage.api('/overview')
  assert.equal(stage.lines.filter((line) => line.includes('"msg":"audit"')).length, 1)
})
