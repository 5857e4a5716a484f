import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionData } from '../../src/django/json.ts'
import { type Fixture, fifty, type Prepare, sessionOf } from './session-engine-world.ts'

/** How far each writer counts; `npm run test:models` asks for 200. */
const countTo = Number(process.env.SESSIONGATE_COUNT_TO ?? 20)

const KEYS_OF_A_WRITER = [0, 1, 2, 3] as const

/** What holds when fifty writers of three processes count in keys of their own, all in one session. */
export function describeCounting(prepare: Prepare): void {
  test(`fifty writers count to ${countTo} in four keys each, and none of them ever meets another value`, async () => {
    await using fixture = await prepare()
    await using third = await fixture.store.connect()
    const key = await fixture.engine.create(sessionOf('{}'))
    const engines = [fixture.engine, fixture.other, third] as const
    await Promise.all(fifty((writer) => count({ ...fixture, engine: engines[writer % 3] ?? third }, key, writer)))
    const loaded = await fixture.other.load(key)
    assert.ok(loaded.found)
    const expected = fifty((writer) => KEYS_OF_A_WRITER.map((at) => [keyOf(writer, at), `${countTo}`] as const)).flat()
    assert.deepEqual([...loaded.data].toSorted(), expected.toSorted())
  })
}

async function count({ engine }: Pick<Fixture, 'engine'>, key: string, writer: number): Promise<void> {
  for (let last = 0; last < countTo; last++) {
    const result = await engine.transition(key, (now) => {
      for (const at of KEYS_OF_A_WRITER) assert.equal(lastOf(now, writer, at), last)
      const next = new Map(now)
      for (const at of KEYS_OF_A_WRITER) next.set(keyOf(writer, at), `${last + 1}`)
      return { kind: 'update', data: next }
    })
    assert.equal(result.kind, 'stored')
  }
}

function keyOf(writer: number, at: number): string {
  return `w${writer}.${at}`
}

function lastOf(data: SessionData, writer: number, at: number): number {
  return Number(data.get(keyOf(writer, at)) ?? 0)
}
