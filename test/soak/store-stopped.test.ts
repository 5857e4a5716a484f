import { describe, test } from 'node:test'
import { assertBoundedMemory } from '../e2e/store-memory.ts'
import { openServerStage, serverKinds } from '../e2e/store-outages.ts'

for (const kind of Object.keys(serverKinds) as (keyof typeof serverKinds)[]) {
  describe(`with sessions in ${kind}`, { skip: serverKinds[kind].skip || process.platform !== 'linux' }, () => {
    test('a stop of 30 s under 1,000 requests a second', async (t) => {
      await using server = await openServerStage(kind)
      await assertBoundedMemory(t, server, { ratePerSecond: 1000, warmUpMs: 10_000, stoppedMs: 30_000 })
    })
  })
}
