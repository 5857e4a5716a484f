import { after, before, describe, test } from 'node:test'
import { assertOutage, openServerStage, type ServerStage, serverKinds } from '../e2e/store-outages.ts'

/** How often each outage happens; a fleet meets them more than once. */
const ROUNDS = 3

for (const kind of Object.keys(serverKinds) as (keyof typeof serverKinds)[]) {
  describe(`with sessions in ${kind}`, { skip: serverKinds[kind].skip }, () => {
    let server: ServerStage
    before(async () => {
      server = await openServerStage(kind)
    })
    after(() => server[Symbol.asyncDispose]())

    test('every outage, again and again', async (t) => {
      for (let round = 0; round < ROUNDS; round++) {
        for (const [name, outage] of Object.entries(server.outages)) {
          t.diagnostic(`when ${name}:`)
          await assertOutage(t, server.stage, outage)
        }
      }
    })
  })
}
