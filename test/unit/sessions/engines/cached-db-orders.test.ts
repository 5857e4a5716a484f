import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { SessionEngine } from '../../../../src/sessions/engine.ts'
import { sessionOf } from '../../../contract/session-engine-world.ts'
import { runEveryOrder } from './interleavings.ts'
import { type Stamps, type Step, SteppedWorld } from './stepped-world.ts'

/** What the cache has at the beginning. */
const beginnings = {
  'an empty cache': async () => {},
  'a value of Django\u2019s': async (world: SteppedWorld) => world.plant(sessionOf('{"n":0}')),
  'a sealed value': async (world: SteppedWorld) => {
    await world.connect().load('thesession')
    assert.ok(world.hasSession)
  },
  'a sealed value that is too old': async (world: SteppedWorld) => {
    await world.connect().load('thesession')
    world.now += 60_000
  },
  'a marker': async (world: SteppedWorld) => {
    await world.connect().transition('thesession', (data) => ({ kind: 'update', data }))
    assert.ok(!world.hasSession)
  },
} as const

type Role = keyof typeof roles

const roles = {
  reader: (world: SteppedWorld, engine: SessionEngine) => world.load('a reader', engine),
  comer: async (world: SteppedWorld, engine: SessionEngine) => {
    await world.arrival()
    await world.load('one who came while all was going on', engine)
  },
  writer: (world: SteppedWorld, engine: SessionEngine) => world.change(engine),
  deleter: (world: SteppedWorld, engine: SessionEngine) => world.delete(engine),
  djangoReader: (world: SteppedWorld) => world.djangoLoad(),
  djangoLatecomer: (world: SteppedWorld) => world.djangoFill(),
  djangoWriter: (world: SteppedWorld) => world.djangoChange(),
  djangoDeleter: (world: SteppedWorld) => world.djangoDelete(),
} as const

/** Who does something, and in which of the gateway's processes. */
type Actor = readonly [role: Role, process?: number]

interface Scene {
  readonly stamps: Stamps
  readonly begin: (world: SteppedWorld) => Promise<void>
  readonly cast: readonly Actor[]
}

/** Plays the scene, then looks at everything once more from every side. */
async function play(step: Step, { stamps, begin, cast }: Scene): Promise<void> {
  let isHeld = false
  const world = new SteppedWorld((name, effect) => (isHeld ? step(name, effect) : Promise.resolve(effect())), stamps)
  await begin(world)
  const processes = [0, 1, 2].map(() => world.connect())
  const late = world.connect()
  isHeld = true
  await Promise.all(cast.map(([role, process = 0]) => roles[role](world, processes[process] ?? late)))
  isHeld = false
  // Django's own blind writes may put back what was deleted, and Django serves it; the gateway may not.
  const isBlind = cast.some(([role]) => role !== 'djangoDeleter' && role.startsWith('django'))
  if (!isBlind) world.assertCacheIsTrue()
  for (const engine of [...processes, late, late]) await world.load('a late reader', engine)
  world.assertNothingStale()
  if (isBlind) world.assertCacheIsTrue()
}

const pairs: readonly (readonly Actor[])[] = [
  [['reader'], ['writer']],
  [
    ['reader', 0],
    ['writer', 1],
  ],
  [
    ['reader', 0],
    ['deleter', 1],
  ],
  [['reader'], ['djangoWriter']],
  [['reader'], ['djangoDeleter']],
  [['deleter'], ['djangoReader']],
  [['writer'], ['djangoWriter']],
  [['deleter'], ['djangoWriter']],
]

const trios: readonly (readonly Actor[])[] = [
  [
    ['reader', 0],
    ['writer', 1],
    ['deleter', 2],
  ],
  [
    ['reader', 0],
    ['comer', 0],
    ['deleter', 1],
  ],
  [['reader', 0], ['deleter', 1], ['djangoLatecomer']],
  [['comer', 0], ['deleter', 0], ['djangoLatecomer']],
]

/** From where a marker has to be placed first these would be thousands of orders, with nothing new in them. */
const twoReaders: readonly Actor[] = [
  ['reader', 0],
  ['reader', 1],
  ['deleter', 2],
]

const hasToken: ReadonlySet<string> = new Set(['a sealed value', 'a sealed value that is too old', 'a marker'])

/** Whoever compares bytes can be deceived in more ways, so that is looked at more closely. */
function castsOf(stamps: Stamps, beginning: string): readonly (readonly Actor[])[] {
  if (stamps === 'version') return pairs
  return hasToken.has(beginning) ? [...pairs, ...trios, twoReaders] : [...pairs, ...trios]
}

describe('the cached_db engine, in every order of its steps,', () => {
  for (const stamps of ['version', 'bytes'] as const) {
    for (const [beginning, begin] of Object.entries(beginnings)) {
      test(`serves nothing stale from ${beginning}, compared by ${stamps}`, async (t) => {
        for (const cast of castsOf(stamps, beginning)) {
          const count = await runEveryOrder((step) => play(step, { stamps, begin, cast }))
          t.diagnostic(`${cast.map(([role, process = 0]) => `${role} ${process}`).join(', ')}: ${count} orders`)
          assert.ok(count > 1)
        }
      })
    }
  }

  test('serves nothing stale to three of the gateway\u2019s clients and some of Django\u2019s, in a thousand random orders', async () => {
    const actor: fc.Arbitrary<Actor> = fc.tuple(
      fc.constantFrom<Role>('reader', 'comer', 'comer', 'writer', 'deleter'),
      fc.nat({ max: 2 }),
    )
    const check = fc.asyncProperty(
      fc.scheduler(),
      fc.constantFrom(...Object.values(beginnings)),
      fc.array(actor, { minLength: 3, maxLength: 3 }),
      fc.subarray<Role>(['djangoReader', 'djangoLatecomer', 'djangoDeleter']),
      async (scheduler, begin, gateways, djangos) => {
        const step: Step = async (name, effect) => {
          await scheduler.schedule(Promise.resolve(), name)
          return effect()
        }
        const cast = [...gateways, ...djangos.map((role): Actor => [role])]
        await scheduler.waitFor(play(step, { stamps: 'bytes', begin, cast }))
      },
    )
    await fc.assert(check, { numRuns: 1000 })
  })
})
