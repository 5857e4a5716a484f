import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createRedisCache } from '../../../../src/sessions/caches/redis.ts'
import type { CachedValue, SessionCache } from '../../../../src/sessions/caches/session-cache.ts'
import { within } from '../../../support/deadline.ts'
import {
  helloReply,
  type RedisScript,
  type ScriptedRedis,
  startScriptedRedis,
} from '../../../support/scripted-redis.ts'

/** A server that greets as every server does, and answers everything else as the script says. */
function greeting(script: RedisScript): RedisScript {
  return (name, args, socket) => (name === 'HELLO' ? helloReply : script(name, args, socket))
}

function cacheOn({ servers }: ScriptedRedis): SessionCache {
  return createRedisCache({ servers, timeoutMs: 300, clock: () => 0 })
}

describe('several values that are read together', () => {
  const read = (cache: SessionCache, keys: readonly string[]) => Promise.allSettled(keys.map((key) => cache.get(key)))
  const textOf = (outcome: PromiseSettledResult<CachedValue | undefined>) =>
    outcome.status === 'fulfilled' ? outcome.value && Buffer.from(outcome.value.bytes).toString() : 'failed'

  /** Answers for several keys as `several` says, and for one with the key itself, or an error if it is `bad`. */
  const server = (several: (keys: readonly string[]) => string, error = '') =>
    startScriptedRedis(
      greeting((name, args) => {
        if (name !== 'EVALSHA') return '+OK\r\n'
        const keys = args.slice(2, 2 + Number(args[1]))
        if (keys.length > 1) return several(keys)
        const [key = ''] = keys
        return key === 'bad' ? `-${error}\r\n` : `*2\r\n$${key.length}\r\n${key}\r\n:5\r\n`
      }),
    )
  const pair = (text: string) => `$${text.length}\r\n${text}\r\n:5\r\n`

  test('come with one command; what there was no room for comes with the next', async () => {
    const asked: (readonly string[])[] = []
    await using scripted = await server((keys) => {
      asked.push(keys)
      const some = keys.slice(0, 2)
      return `*${2 * some.length}\r\n${some.map(pair).join('')}`
    })
    await using cache = cacheOn(scripted)
    const keys = ['a', 'b', 'c', 'd', 'e']
    assert.deepEqual((await read(cache, keys)).map(textOf), keys)
    assert.deepEqual(asked, [keys, keys.slice(2)])
    assert.equal(scripted.commands.filter((name) => name === 'EVALSHA').length, 3)
  })

  const faults: [why: string, error: string, outcome: string][] = [
    ['is no string, which is no session', 'WRONGTYPE Operation against a key holding the wrong kind of value', ''],
    ['may not be read', 'NOPERM No permissions to access a key', 'failed'],
  ]
  for (const [why, error, outcome] of faults) {
    test(`do not suffer for one of them that ${why}`, async () => {
      await using scripted = await server((keys) => (keys.includes('bad') ? `-${error}\r\n` : '*-1\r\n'), error)
      await using cache = cacheOn(scripted)
      assert.deepEqual((await read(cache, ['a', 'bad', 'b'])).map(textOf), ['a', outcome, 'b'])
    })
  }

  const odd: [why: string, reply: string][] = [
    ['nothing', '_\r\n'],
    ['an empty list, which would be asked for again for ever', '*0\r\n'],
    ['values without a time', `*2\r\n$1\r\nx\r\n$1\r\nx\r\n`],
    ['half a value', `*3\r\n${pair('x')}$1\r\nx\r\n`],
    ['more values than keys', `*6\r\n${pair('x').repeat(3)}`],
  ]
  for (const [why, reply] of odd) {
    test(`are not believed if the answer makes no sense: ${why}`, async () => {
      await using scripted = await server(() => reply)
      await using cache = cacheOn(scripted)
      assert.deepEqual((await read(cache, ['a', 'b'])).map(textOf), ['failed', 'failed'])
      assert.equal(textOf((await read(cache, ['a']))[0] ?? { status: 'rejected', reason: undefined }), 'a')
      assert.ok(scripted.connections >= 2)
    })
  }

  test('all fail when no answer comes in time', async () => {
    await using scripted = await startScriptedRedis(greeting(() => undefined))
    await using cache = cacheOn(scripted)
    const outcomes = await within('both', read(cache, ['a', 'b']))
    assert.deepEqual(outcomes.map(textOf), ['failed', 'failed'])
  })
})
