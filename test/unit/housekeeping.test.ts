import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { openHousekeeping } from '../../src/housekeeping.ts'
import type { LogFields } from '../../src/observe/log.ts'
import { storeUnavailable } from '../../src/sessions/store-failure.ts'

interface Line {
  readonly level: string
  readonly message: string
  readonly fields: LogFields
}

/** Housekeeping every hour, of which the test decides when it has passed. */
async function run(clearExpired: (limit: number) => Promise<number>): Promise<{ lines: Line[]; counted: number[] }> {
  const [lines, counted]: [Line[], number[]] = [[], []]
  const note =
    (level: string) =>
    (message: string, fields: LogFields = {}): void =>
      void lines.push({ level, message, fields })
  const told = Promise.withResolvers<void>()
  const log = {
    debug: note('debug'),
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
    fatal: note('fatal'),
  }
  mock.timers.enable({ apis: ['setInterval'] })
  try {
    await using _housekeeping = openHousekeeping(
      { everyMs: 3_600_000, batch: 10 },
      {
        engine: {
          async clearExpired(limit) {
            const count = await clearExpired(limit).finally(() => setImmediate(told.resolve))
            return count
          },
        },
        log,
        metrics: { sessionsRevoked: (source, count) => void (source === 'expiry_sweep' && counted.push(count)) },
      },
    )
    mock.timers.tick(3_600_000)
    await told.promise
    while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve))
  } finally {
    mock.timers.reset()
  }
  return { lines, counted }
}

test('the sweep counts each batch as it is done, and says so once', async () => {
  const counts = [10, 10, 4]
  const { lines, counted } = await run(async () => counts.shift() ?? assert.fail('it was done'))
  assert.deepEqual(counted, [10, 10, 4])
  assert.deepEqual(
    lines.map(({ level, message, fields }) => [level, message, fields.cleared]),
    [['info', 'expired sessions cleared', 24]],
  )
})

test('a store that fails in the middle is a warning, with what was cleared', async () => {
  const counts = [10]
  const { lines, counted } = await run(async () => {
    const count = counts.shift()
    if (count === undefined) throw storeUnavailable('away')
    return count
  })
  assert.deepEqual(counted, [10])
  assert.deepEqual(
    lines.map(({ level, message, fields }) => [level, message, fields.cleared]),
    [['warn', 'clearing expired sessions failed', 10]],
  )
})
