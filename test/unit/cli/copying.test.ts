import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type CopyMode, type CopyOptions, type CopyReport, copySessions } from '../../../src/cli/copying.ts'
import type { SessionEngine } from '../../../src/sessions/engine.ts'
import { storeUnavailable } from '../../../src/sessions/store-failure.ts'
import { sessionOf } from '../../contract/session-engine-world.ts'
import { atOnce, KEY, type Step, TwoStores } from '../sessions/two-stores.ts'

interface Run extends Partial<CopyOptions> {
  readonly oldStep?: Step
  readonly newStep?: Step
}

const nobody = new AbortController().signal

async function copy(world: TwoStores, mode: CopyMode, run: Run = {}): Promise<CopyReport> {
  const { oldStep = atOnce, newStep = atOnce, ...changes } = run
  return await copySessions({
    mode,
    from: world.old.connect(oldStep),
    to: world.new.connect(newStep),
    mover: world.mover(atOnce),
    parallel: 4,
    publicId: (key) => `id of ${key}`,
    clock: () => world.now,
    pause: async () => {},
    signal: nobody,
    onProgress: () => {},
    ...changes,
  })
}

/** A world with so many sessions in the old store; `KEY` is the first. */
function filled(count: number): TwoStores {
  const world = new TwoStores()
  for (let i = 1; i < count; i++) world.old.put(`session${i}`, `{"n":${i}.0}`, world.now + 1000 * i)
  return world
}

const nothing = { copied: 0, there: 0, expired: 0, unreadable: 0, unstorable: 0, failed: 0 }

describe('copying sessions', () => {
  test('stores each under its key and with its end, and leaves the source as it is', async () => {
    const world = filled(50)
    const before = new Map(world.old.rows)
    const { counts, end } = await copy(world, 'copy')
    assert.deepEqual([counts, end], [{ ...nothing, copied: 50 }, 'done'])
    assert.deepEqual(world.new.rows, before)
    assert.deepEqual(world.old.rows, before)
  })

  test('goes on where it ended when it is run again, and overwrites nothing', async () => {
    const world = filled(50)
    world.new.put('session7', '{"n":700}')
    const { counts } = await copy(world, 'copy')
    assert.deepEqual(counts, { ...nothing, copied: 49, there: 1 })
    assert.deepEqual(world.new.rows.get('session7')?.data, sessionOf('{"n":700}'))
    assert.deepEqual((await copy(world, 'copy')).counts, { ...nothing, there: 50 })
  })

  test('moves them where it is asked to, and nothing stays behind', async () => {
    const world = filled(50)
    const before = new Map(world.old.rows)
    const { counts } = await copy(world, 'move')
    assert.deepEqual(counts, { ...nothing, copied: 50 })
    assert.deepEqual(world.new.rows, before)
    assert.equal(world.old.rows.size, 0)
  })

  test('writes nothing in a dry run, and counts the same', async () => {
    const world = filled(50)
    world.new.put('session7', '{"n":700}')
    world.new.put('session8', '{"n":800}', world.now)
    const { counts, unstorable } = await copy(world, 'dry run')
    assert.deepEqual(counts, { ...nothing, copied: 48, there: 1, unstorable: 1 })
    assert.deepEqual(unstorable, ['id of session8'])
    assert.deepEqual([world.old.rows.size, world.new.rows.size], [50, 2])
  })

  test('counts what the other store cannot hold, by public ids and not by keys', async () => {
    const world = new TwoStores({ newHasFileKeys: true })
    for (let i = 0; i < 60; i++) world.old.put(`With.Dots.${i}`, '{}')
    for (const mode of ['dry run', 'copy', 'move'] as const) {
      const { counts, unstorable } = await copy(world, mode)
      assert.deepEqual(counts, {
        ...nothing,
        copied: mode === 'move' ? 0 : 1,
        unstorable: 60,
        there: mode === 'move' ? 1 : 0,
      })
      assert.equal(unstorable.length, 50, 'no more than somebody looks at')
      assert.equal(unstorable[0], 'id of With.Dots.0')
    }
  })

  test('counts what cannot be read', async () => {
    const world = filled(1)
    const engine = world.old.connect(atOnce)
    const from: SessionEngine = {
      ...engine,
      async *entries(onUnreadable) {
        onUnreadable?.('brokenkey')
        yield* engine.entries()
      },
    }
    const { counts, unreadable } = await copy(world, 'copy', { from })
    assert.deepEqual([counts, unreadable], [{ ...nothing, copied: 1, unreadable: 1 }, ['id of brokenkey']])
  })

  test('leaves out what is over by the time it is its turn', async () => {
    const world = filled(3)
    const engine = world.old.connect(atOnce)
    const from: SessionEngine = {
      ...engine,
      async *entries() {
        for (const entry of await Array.fromAsync(engine.entries())) {
          yield entry
          world.now += 1500
        }
      },
    }
    assert.deepEqual((await copy(world, 'copy', { from, parallel: 1 })).counts, { ...nothing, copied: 1, expired: 2 })
  })

  test('takes what a mover has left behind for what it is', async () => {
    const world = filled(1)
    world.old.put('placeholder', '{"_gw":{"moving":"a"}}')
    world.old.put('deadclaim', '{"n":1,"_gw":{"moved":"b"}}')
    world.old.put('halfmoved', '{"n":2,"_gw":{"moved":"c"}}')
    world.new.put('halfmoved', '{"_gw":{"moving":"c"}}')
    world.old.put('notclaimed', '{"n":3}')
    world.new.put('notclaimed', '{"_gw":{"moving":"d"}}')
    const { counts } = await copy(world, 'copy')
    assert.deepEqual(counts, { ...nothing, copied: 3, expired: 1 })
    const names = [...world.new.rows].map(([key, { data }]) => [key, data.has('_gw'), data.get('n')])
    assert.deepEqual(names.toSorted(), [
      ['halfmoved', false, '2'],
      ['notclaimed', false, '3'],
      [KEY, false, '0'],
    ])
  })

  test('keeps so many under way at once, and reads no further ahead', async () => {
    const world = filled(100)
    let [read, done, running, most] = [0, 0, 0, 0]
    const { counts } = await copy(world, 'copy', {
      parallel: 7,
      async oldStep(name, effect) {
        if (name === 'old.entry') assert.ok(++read - done <= 8, 'what is read waits in memory')
        return effect()
      },
      async newStep(_name, effect) {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setImmediate(resolve))
        running -= 1
        done += 1
        return effect()
      },
    })
    assert.deepEqual([counts.copied, most], [100, 7])
  })
})

describe('copying while a store fails', () => {
  /** Fails the first so many steps of that name, then works. */
  const failing = (name: string, { after, times }: { after: number; times: number }): Step => {
    let count = 0
    return async (step, effect) => {
      if (step !== name) return effect()
      count += 1
      if (count > after && count <= after + times) throw storeUnavailable('the store is away')
      return effect()
    }
  }

  for (const mode of ['copy', 'dry run'] as const) {
    test(`tries again, and counts each session once: ${mode}`, async () => {
      for (const name of ['new.adopt', 'new.load', 'old.entries', 'old.entry']) {
        const world = filled(50)
        world.new.put('session3', '{}')
        const pauses: number[] = []
        const step = failing(name, { after: name === 'old.entries' ? 0 : 20, times: 3 })
        const { counts, end } = await copy(world, mode, {
          oldStep: step,
          newStep: step,
          parallel: 1,
          pause: async (ms) => void pauses.push(ms),
        })
        assert.deepEqual([counts, end], [{ ...nothing, copied: 49, there: 1 }, 'done'], name)
        if (name === 'old.entry') assert.deepEqual(pauses, [200, 500, 1000])
      }
    })
  }

  test('gives up in the end, and tells what was reached', async () => {
    for (const [name, failed] of [
      ['new.adopt', 1],
      ['old.entry', 0],
    ] as const) {
      const world = filled(50)
      const step = failing(name, { after: 20, times: 1000 })
      const report = await copy(world, 'copy', { oldStep: step, newStep: step, parallel: 1 })
      assert.deepEqual(
        [report.counts, report.end, String(report.cause)],
        [{ ...nothing, copied: 20, failed }, 'stopped', 'GatewayError: the store is away'],
      )
      assert.equal((await copy(world, 'copy')).counts.copied, 30, 'the next run goes on')
    }
  })

  test('does not take a mistake of ours for a failing store', async () => {
    const step: Step = async () => {
      throw new TypeError('a bug')
    }
    await assert.rejects(copy(filled(2), 'copy', { newStep: step }), TypeError)
  })

  test('ends after what is under way when it is interrupted', async () => {
    const world = filled(50)
    const interruption = new AbortController()
    const { counts, end } = await copy(world, 'copy', {
      signal: interruption.signal,
      parallel: 1,
      onProgress: (done) => {
        if (done === 10) interruption.abort()
      },
    })
    assert.equal(end, 'interrupted')
    assert.ok(counts.copied >= 10 && counts.copied <= 12, `${counts.copied}`)
    assert.equal(world.new.rows.size, counts.copied)
    assert.equal((await copy(world, 'copy')).counts.copied + counts.copied, 50)
  })
})
