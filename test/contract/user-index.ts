import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createSessionKey } from '../../src/django/session-key.ts'
import type { UserIndex } from '../../src/sessions/user-index.ts'

/** The time by which every index under test counts; servers with a clock of their own are told of its steps. */
export class IndexWorld {
  now = Date.now()
  readonly clock = () => this.now
}

/** One store, to which any number of indexes may be connected, each as another process would be. */
export interface IndexUnderTest extends AsyncDisposable {
  connect(): Promise<UserIndex>
}

export interface IndexTraits {
  /** False: what is over goes by itself, and nothing is left to clear. Default true. */
  readonly sweeps?: boolean
  readonly skip?: string | false
}

const HOUR_MS = 3_600_000

/** The definition of {@link UserIndex}: what every index does. */
export function describeUserIndex(
  name: string,
  open: (world: IndexWorld) => Promise<IndexUnderTest>,
  { sweeps = true, skip = false }: IndexTraits = {},
): void {
  describe(`the index of users ${name}`, { skip }, () => {
    const prepare = async () => {
      const world = new IndexWorld()
      const stack = new AsyncDisposableStack()
      const store = stack.use(await open(world))
      const index = stack.use(await store.connect())
      const other = stack.use(await store.connect())
      return { world, index, other, inAnHour: world.now + HOUR_MS, [Symbol.asyncDispose]: () => stack.disposeAsync() }
    }

    test('knows nothing of a user who was never noted', async () => {
      await using fixture = await prepare()
      assert.deepEqual(await keysOf(fixture.index, 'nobody'), [])
      await fixture.index.forget('nobody', createSessionKey())
      assert.equal(await fixture.index.clearExpired(10), 0)
    })

    test('finds what another process noted, and only for that user', async () => {
      await using fixture = await prepare()
      const { index, other, inAnHour } = fixture
      const keys = Array.from({ length: 3 }, () => createSessionKey())
      for (const key of keys) await index.note('7', key, inAnHour)
      const stranger = createSessionKey()
      await other.note('77', stranger, inAnHour)
      assert.deepEqual(await keysOf(other, '7'), keys.toSorted())
      assert.deepEqual(await keysOf(index, '77'), [stranger])
      assert.deepEqual(await keysOf(index, ''), [])
    })

    test('drops what is forgotten and nothing else', async () => {
      await using fixture = await prepare()
      const { index, other, inAnHour } = fixture
      const [kept, dropped] = [createSessionKey(), createSessionKey()]
      for (const key of [kept, dropped]) await index.note('7', key, inAnHour)
      await index.note('8', dropped, inAnHour)
      await other.forget('7', dropped)
      await other.forget('7', dropped)
      assert.deepEqual(await keysOf(index, '7'), [kept])
      assert.deepEqual(await keysOf(index, '8'), [dropped])
      await index.forget('7', kept)
      assert.deepEqual(await keysOf(index, '7'), [])
      await index.note('7', kept, inAnHour)
      assert.deepEqual(await keysOf(other, '7'), [kept])
    })

    test('drops what is over, and keeps the later of two ends', async () => {
      await using fixture = await prepare()
      const { world, index, other, inAnHour } = fixture
      const [short, long, shortened] = [createSessionKey(), createSessionKey(), createSessionKey()]
      await index.note('7', short, inAnHour)
      await index.note('7', long, inAnHour)
      await other.note('7', long, inAnHour + HOUR_MS)
      await index.note('7', shortened, inAnHour + HOUR_MS)
      await other.note('7', shortened, inAnHour)
      world.now = inAnHour - 1
      assert.deepEqual(await keysOf(index, '7'), [short, long, shortened].toSorted())
      world.now = inAnHour
      assert.deepEqual(await keysOf(index, '7'), [long, shortened].toSorted())
      world.now = inAnHour + HOUR_MS
      assert.deepEqual(await keysOf(index, '7'), [])
    })

    test('clears what is over in batches, and nothing else', async () => {
      await using fixture = await prepare()
      const { world, index, inAnHour } = fixture
      for (let i = 0; i < 25; i++) await index.note(`user ${i % 3}`, createSessionKey(), inAnHour)
      const alive = createSessionKey()
      await index.note('user 1', alive, inAnHour + HOUR_MS)
      assert.equal(await index.clearExpired(10), 0)
      world.now = inAnHour
      const counts = [10, 10, 5, 0].map((count) => (sweeps ? count : 0))
      for (const count of counts) assert.equal(await index.clearExpired(10), count)
      assert.deepEqual(await keysOf(index, 'user 1'), [alive])
    })

    test('keeps all that several processes note at once', async () => {
      await using fixture = await prepare()
      const { index, other, inAnHour } = fixture
      const keys = Array.from({ length: 40 }, () => createSessionKey())
      await Promise.all(keys.map((key, i) => (i % 2 ? index : other).note('7', key, inAnHour)))
      assert.deepEqual(await keysOf(index, '7'), keys.toSorted())
      await Promise.all(keys.slice(1).map((key, i) => (i % 2 ? index : other).forget('7', key)))
      assert.deepEqual(await keysOf(other, '7'), keys.slice(0, 1))
    })

    test('notes a thousand sessions of one user, and finds them all', async () => {
      await using fixture = await prepare()
      const { index, inAnHour } = fixture
      const keys = Array.from({ length: 1000 }, () => createSessionKey())
      for (let i = 0; i < keys.length; i += 50) {
        await Promise.all(keys.slice(i, i + 50).map((key) => index.note('robot', key, inAnHour)))
      }
      assert.deepEqual(await keysOf(index, 'robot'), keys.toSorted())
    })

    const userIds: [why: string, userId: string][] = [
      ['a letter that is not ASCII', 'Zoë'],
      ['an address', 'a.b+c@example.com'],
      ['what a path is made of', '../../etc/passwd'],
      ['what SQL is made of', `' OR 1=1; --`],
      ['blanks', ' a  b '],
      ['a wild card', '%'],
      ['the longest', 'x'.repeat(200)],
      ['an emoji', '\u{1f511}'],
    ]
    for (const [why, userId] of userIds) {
      test(`takes any text for an id: ${why}`, async () => {
        await using fixture = await prepare()
        const key = createSessionKey()
        await fixture.index.note(userId, key, fixture.inAnHour)
        assert.deepEqual(await keysOf(fixture.other, userId), [key])
        assert.deepEqual(await keysOf(fixture.other, `${userId}x`.slice(0, 200).replace(/^x{200}$/, 'x')), [])
        await fixture.other.forget(userId, key)
        assert.deepEqual(await keysOf(fixture.index, userId), [])
      })
    }

    test('notes the end of the year 9999, which nothing exceeds', async () => {
      await using fixture = await prepare()
      const key = createSessionKey()
      await fixture.index.note('7', key, 253_402_300_799_999)
      assert.deepEqual(await keysOf(fixture.other, '7'), [key])
      assert.equal(await fixture.index.clearExpired(10), 0)
    })

    test('closes twice without complaint', async () => {
      await using fixture = await prepare()
      await fixture.index.note('7', createSessionKey(), fixture.inAnHour)
      await fixture.index[Symbol.asyncDispose]()
      await fixture.index[Symbol.asyncDispose]()
    })
  })
}

/** All of them, each once, in alphabetical order. */
export async function keysOf(index: UserIndex, userId: string): Promise<string[]> {
  return [...new Set(await Array.fromAsync(index.keysOf(userId)))].toSorted()
}
