import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { loadConfig } from '../../src/config/loading.ts'
import { until } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { startGateway } from '../support/gateway.ts'
import { findFreePort } from '../support/postgres.ts'
import { configFile, putConfig, reloadBy } from '../support/reloads.ts'
import { type ProbeAnswer, startSteadyProbe } from '../support/steady-probe.ts'
import { times } from './stage.ts'

/** What a configuration adds to a request and to its answer must be of the same one, and so must be whom it lets in. */
const marks = ['one', 'two'] as const
type Mark = (typeof marks)[number]

interface Place {
  readonly port: number
  readonly origins: Readonly<Record<Mark, string>>
}

function configOf({ port, origins }: Place, mark: Mark): string {
  const other = mark === 'one' ? 'two' : 'one'
  return `version: 1
listen: [{ address: "127.0.0.1:${port}" }]
admin: { listen: "127.0.0.1:0" }
upstreams:
  ${mark}: { servers: ["${origins[mark]}"] }
routes:
  - { id: closed, match: { path: "/only-${other}" }, upstream: ${mark}, auth: required, on_deny: status }
  - id: ${mark}
    match: { path: /* }
    upstream: ${mark}
    auth: public
    headers: { request: { X-Env: ${mark} }, response: { X-Mark: ${mark} } }
`
}

async function openStage(more = '') {
  await using stack = new AsyncDisposableStack()
  const open = async (mark: Mark) =>
    stack.use(
      await startApp((request, response) => {
        response.setHeader('X-App', mark).end(String(request.headers['x-env']))
      }),
    )
  const place = {
    port: await findFreePort(),
    origins: { one: (await open('one')).origin, two: (await open('two')).origin },
  }
  const gateway = stack.use(await startGateway({ config: configOf(place, 'one') + more }))
  const closing = stack.move()
  return { place, gateway, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}

/** Whole answers by one configuration: app, header up, header down, and who was let in. */
function judge({ status, headers, body, path }: ProbeAnswer): string {
  if (path === '/') {
    const told = [headers['x-mark'], headers['x-app'], body]
    return status === 200 && told.every((mark) => mark === told[0]) ? `by ${told[0]}` : `a mixture: ${status} ${told}`
  }
  // Closed in one, open in the other.
  const own = path.slice('/only-'.length)
  if (status === 401) return 'refused'
  const told = [headers['x-mark'], headers['x-app'], body]
  return status === 200 && told.every((mark) => mark === own) ? 'let in' : `a mixture: ${status} ${told}`
}

/** Asks steadily until `stop`, which counts the answers by what is made of them, and what failed as `failed: WHY`. */
function startProbes(url: string, options: { readonly paths: readonly string[]; readonly perSecond: number }) {
  const kinds: Record<string, number> = {}
  const note = (kind: string): void => {
    kinds[kind] = (kinds[kind] ?? 0) + 1
  }
  const probe = startSteadyProbe({ url, ...options, flawOf: (answer) => void note(judge(answer)) })
  return {
    async stop(): Promise<Readonly<Record<string, number>>> {
      for (const { why } of (await probe.end()).failures) note(`failed: ${why}`)
      return kinds
    },
    [Symbol.asyncDispose]: () => probe[Symbol.asyncDispose](),
  }
}

/** A configuration with bytes of it changed, left out, doubled or put elsewhere. */
function mutationsOf(text: string): fc.Arbitrary<string> {
  const at = fc.nat({ max: text.length - 1 })
  return fc.oneof(
    fc
      .tuple(at, fc.string({ minLength: 1, maxLength: 6 }))
      .map(([from, put]) => text.slice(0, from) + put + text.slice(from)),
    at.map((from) => text.slice(0, from)),
    fc
      .tuple(at, fc.integer({ min: 1, max: 30 }))
      .map(([from, count]) => text.slice(0, from) + text.slice(from + count)),
    fc.tuple(at, at).map(([a, b]) => text.slice(0, a) + text.slice(b)),
    fc.constantFrom('', '\0', '\uFFFE', 'null', '[]', '- a', 'version: 2\n', `${text}${text}`, `${text}\n---\n`),
  )
}

describe('rows 40 and 41: reloads', () => {
  test('row 40: what is broken changes nothing, whatever is wrong with it', async () => {
    await using stage = await openStage()
    const { gateway, place } = stage
    const whole = configOf(place, 'one')
    const count = times({ usual: 20, whole: 1_000 })
    const broken: string[] = []
    for (const text of fc.sample(mutationsOf(whole), count * 3)) {
      const files = { readFile: async () => Buffer.from(text) }
      const isBroken = await loadConfig({ path: 'x.yaml', env: {}, ...files }).then(
        () => false,
        () => true,
      )
      // The same once more would be no change, and nothing would be told of it.
      if (isBroken && broken.length < count && broken.at(-1) !== text) broken.push(text)
    }
    await using probes = startProbes(gateway.url, { paths: ['/', '/only-two'], perSecond: 100 })
    for (const text of broken) {
      const line = await reloadBy(gateway, () => putConfig(gateway, text))
      assert.equal(line.msg, 'configuration not reloaded, the one before stays in force', JSON.stringify(text))
      assert.equal(line.file, configFile(gateway))
    }
    const kinds = await probes.stop()
    assert.deepEqual(Object.keys(kinds).toSorted(), ['by one', 'refused'], JSON.stringify(kinds))
    assert.equal((await reloadBy(gateway, () => putConfig(gateway, whole))).msg, 'configuration is in order again')
    console.log(`row 40: ${broken.length} broken configurations, 0 taken; ${JSON.stringify(kinds)}`)
  })

  test('row 41: flips between two sets of rules drop nothing, and every answer is by one of them', async () => {
    await using stage = await openStage()
    const { gateway, place } = stage
    const flips = times({ usual: 20, whole: 1_000 })
    await using probes = startProbes(gateway.url, { paths: ['/', '/only-one', '/only-two'], perSecond: 300 })
    for (let flip = 1; flip <= flips; flip++) {
      const mark = marks[flip % 2] ?? 'one'
      const line = await reloadBy(gateway, () => putConfig(gateway, configOf(place, mark)))
      assert.equal(line.msg, 'configuration reloaded')
    }
    const kinds = await probes.stop()
    assert.deepEqual(Object.keys(kinds).toSorted(), ['by one', 'by two', 'let in', 'refused'], JSON.stringify(kinds))
    console.log(`row 41: ${flips} flips, 0 failed, 0 mixtures; ${JSON.stringify(kinds)}`)
  })

  test('rows 38, 40 and 41: two workers, reloads and rolling restarts together: nothing fails, nothing is mixed', async () => {
    const workers = 'workers: 2\n'
    await using stage = await openStage(workers)
    const { gateway, place } = stage
    const reloads = times({ usual: 20, whole: 200 })
    const rolls = times({ usual: 2, whole: 20 })
    const perSecond = times({ usual: 200, whole: 500 })
    await using probes = startProbes(gateway.url, { paths: ['/', '/only-one', '/only-two'], perSecond })
    const taken = { good: 0, broken: 0, rolls: 0 }
    for (let turn = 1; turn <= reloads; turn++) {
      const isBroken = turn % 2 === 0
      // One more configuration each time, so that none is the one in force.
      const text = `${configOf(place, marks[Math.floor(turn / 2) % 2] ?? 'one')}${workers}logging: { access: false }\n`
      const line = await reloadBy(gateway, () => putConfig(gateway, isBroken ? text.slice(0, -20) : text))
      assert.equal(line.msg.includes('not reloaded'), isBroken, `turn ${turn}: ${line.msg}`)
      taken[isBroken ? 'broken' : 'good'] += 1
      if (turn % (reloads / rolls) !== 0) continue
      const seen = gateway.log.length
      gateway.process.kill('SIGUSR2')
      await until(
        'the roll is over',
        () => gateway.log.slice(seen).some(({ msg }) => msg === 'rolling restart ended'),
        60_000,
      )
      taken.rolls += 1
    }
    const kinds = await probes.stop()
    console.log(
      `rows 38, 40, 41 with two workers: ${JSON.stringify(taken)}, at ${perSecond}/s: ${JSON.stringify(kinds)}`,
    )
    assert.deepEqual(Object.keys(kinds).toSorted(), ['by one', 'by two', 'let in', 'refused'], JSON.stringify(kinds))
  })
})
