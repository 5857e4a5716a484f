/**
 * Ten thousand log-outs, each against a slow write-back of another process, over all engines that keep data on a server:
 * `npm run test:soak`, or this file alone. SESSIONGATE_LOGOUT_RACES says how many in all.
 */
import { describe, test } from 'node:test'
import { assertLogoutsWin } from '../e2e/logout-race-stage.ts'
import { raceStores } from '../e2e/logout-race-stores.ts'

const all = Number(process.env.SESSIONGATE_LOGOUT_RACES ?? 10_000)
const stores = Object.entries(raceStores)

describe(`${all} log-outs against slow write-backs`, () => {
  for (const [name, { skip, open }] of stores) {
    test(`with sessions in ${name}`, { skip }, async (t) => {
      await using store = await open()
      await assertLogoutsWin(t, store, Math.ceil(all / stores.length))
    })
  }
})
