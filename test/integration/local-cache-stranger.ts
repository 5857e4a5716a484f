import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { openSqliteSessions } from '../../src/sessions/databases/sqlite.ts'
import { common, type Stranger, strangerOn } from './local-cache-staleness.ts'

interface Order {
  readonly id: number
  readonly what: keyof Stranger
  readonly key: string
  readonly n: number
}

type Answer = { readonly id: number; readonly key: string } | { readonly id: number; readonly error: string }

/** Another gateway on that SQLite file, in a process of its own. */
export async function startStranger(path: string): Promise<Stranger & AsyncDisposable> {
  const child = fork(import.meta.filename, [path])
  const waiting = new Map<number, (answer: Answer) => void>()
  child.on('message', (answer: Answer) => waiting.get(answer.id)?.(answer))
  await once(child, 'spawn')
  let orders = 0
  const ask = async (what: Order['what'], key = '', n = 0): Promise<string> => {
    const { promise, resolve } = Promise.withResolvers<Answer>()
    const order: Order = { id: ++orders, what, key, n }
    waiting.set(order.id, resolve)
    child.send(order)
    const answer = await promise
    waiting.delete(order.id)
    if ('error' in answer) throw new Error(answer.error)
    return answer.key
  }
  return {
    create: () => ask('create'),
    change: async (key, n) => void (await ask('change', key, n)),
    revoke: async (key) => void (await ask('revoke', key)),
    async [Symbol.asyncDispose]() {
      child.disconnect()
      const [code] = await once(child, 'exit')
      assert.equal(code, 0)
    },
  }
}

if (import.meta.main) {
  const [path = ''] = process.argv.slice(2)
  const engine = await openSqliteSessions({ ...common, path, create: 'never', useTz: true, busyTimeoutMs: 10_000 })
  const stranger = strangerOn(engine)
  const obey = async ({ what, key, n }: Order): Promise<string> => {
    if (what === 'create') return await stranger.create()
    await (what === 'change' ? stranger.change(key, n) : stranger.revoke(key))
    return ''
  }
  process.on('message', (order: Order) => {
    obey(order).then(
      (key) => process.send?.({ id: order.id, key }),
      (error: unknown) => process.send?.({ id: order.id, error: String(error) }),
    )
  })
}
