/** `test/soak/logout-races.test.ts` runs ten thousand of these. */
import { describe, test } from 'node:test'
import { assertLogoutsWin } from './logout-race-stage.ts'
import { raceStores } from './logout-race-stores.ts'

const RACES = 45

describe('a log-out against a slow write-back, each in a process of its own', { concurrency: 2 }, () => {
  for (const [name, { skip, open }] of Object.entries(raceStores)) {
    test(`with sessions in ${name}`, { skip }, async (t) => {
      await using store = await open()
      await assertLogoutsWin(t, store, RACES)
    })
  }
})
