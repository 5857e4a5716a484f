/**
 * 200,000 targets against each of some rule sets, through a gateway, to apps that read paths in eleven ways and in three of
 * these after another. Nobody is logged in; so whatever an app would take for a guarded path must not reach it.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { until } from '../../support/deadline.ts'
import { type LogLine, startGateway } from '../../support/gateway.ts'
import { sendAll } from '../../support/pipelining-client.ts'
import { createRandom } from '../../support/random.ts'
import { normalForm, readingsOf } from './path-readers.ts'
import { isGuarded, type ModelRoute, type RuleSet, routeOf, ruleSets, yamlOf } from './path-rules.ts'
import { createTargets } from './path-targets.ts'
import { chosenSeed, counted, shareOfEach, type Tally } from './tally.ts'

const seed = chosenSeed()

/** What was sent. */
interface Case {
  readonly bytes: string
  readonly method: string
  readonly number: number
  readonly host: string
  /** Without scheme and authority. */
  readonly target: string
}

/** What an app got, or what the log says of it; by the id of the request. */
interface Sight {
  readonly sent: Case
  readonly target: string
}

function* casesFor({ hosts, methods }: RuleSet, count: number): Generator<Case> {
  const random = createRandom(seed)
  const nextTarget = createTargets(random)
  for (let number = 0; number < count; number += 1) {
    const target = nextTarget()
    const [host, method] = [random.pick(hosts), random.pick(methods)]
    const absolute =
      random.chance(0.03) && target.startsWith('/') ? `http://${random.chance(0.8) ? host : 'admin.test'}` : ''
    const length = method === 'GET' || method === 'HEAD' ? '' : 'Content-Length: 0\r\n'
    const cookie = random.chance(0.1) ? 'Cookie: sessionid=aaaaaaaabbbbbbbbccccccccdddddddd\r\n' : ''
    const lines = `Host: ${host}\r\nAccept: application/json\r\nX-Case: ${number}\r\n${cookie}${length}`
    yield { bytes: `${method} ${absolute}${target} HTTP/1.1\r\n${lines}\r\n`, method, number, host, target }
  }
}

class Witness {
  readonly cases = new Map<number, Case>()
  readonly #atApp = new Map<string, Sight>()
  readonly #inLog = new Map<string, LogLine>()
  readonly #rules: RuleSet
  readonly #hits: Tally
  readonly #differences: Tally
  forwarded = 0
  logged = 0

  constructor(rules: RuleSet, hits: Tally, differences: Tally) {
    this.#rules = rules
    this.#hits = hits
    this.#differences = differences
  }

  /** Counts the guarded readings among those that an app without a gateway would have met, so that the targets are known to bite. */
  wouldHit({ host, method, target }: Case): boolean {
    return guardedReading(this.#rules, { host, method, path: divided(target)[0] }) !== undefined
  }

  arrived(number: number, target: string, request: { method: string; host: string; id: string }): void {
    this.forwarded += 1
    const sent = this.cases.get(number)
    if (sent === undefined) {
      this.#hits.broken(`nobody sent ${target}`)
      return
    }
    const [path] = divided(target)
    const how = guardedReading(this.#rules, { ...request, path })
    if (how !== undefined)
      this.#hits.broken(`${sent.method} ${sent.target} went up as ${target} (${how}), Host ${sent.host}`)
    const line = this.#inLog.get(request.id)
    if (line === undefined) this.#atApp.set(request.id, { sent, target })
    else this.#compare({ sent, target }, line)
    this.#inLog.delete(request.id)
  }

  told(line: LogLine): void {
    this.logged += 1
    if (line['upstream.name'] === undefined) return
    const id = String(line['request.id'])
    const sight = this.#atApp.get(id)
    if (sight === undefined) this.#inLog.set(id, line)
    else this.#compare(sight, line)
    this.#atApp.delete(id)
  }

  get unmatched(): number {
    return this.#atApp.size + this.#inLog.size
  }

  /** The log has the path that the rules saw, and the route that they chose. */
  #compare({ sent, target }: Sight, line: LogLine): void {
    const [judged, route] = [String(line['url.path']), String(line['http.route'])]
    // Several spaces may stand before the target and behind it; they are no part of it.
    const [path, query] = divided(sent.target.replace(/^ +| +$/g, ''))
    const expected = routeOf(this.#rules, { host: sent.host, method: sent.method, path: normalForm(path) })
    const isSame = route === expected?.id && judged === normalForm(path) && isCarried({ path, query, target }, expected)
    this.#differences.look(isSame, () =>
      [`${sent.target} for ${sent.host} was judged as ${judged} by ${route}`, `and went up as ${target}`].join(', '),
    )
  }
}

/** Without a rewrite what was received goes up; with one, what was received of the path behind the prefix. */
function isCarried(of: { path: string; query: string; target: string }, { rewrite }: ModelRoute): boolean {
  const { path, query, target } = of
  if (rewrite === undefined) return target === path + query
  const [up, upQuery] = divided(target)
  const left = normalForm(path).slice(rewrite.strip.length)
  const isSame = normalForm(up) === (rewrite.add + left || '/') && upQuery === query
  return isSame && (left === '' || path.endsWith(up.slice(rewrite.add.length)))
}

function divided(target: string): [path: string, query: string] {
  const at = target.indexOf('?')
  return at < 0 ? [target, ''] : [target.slice(0, at), target.slice(at)]
}

function guardedReading(rules: RuleSet, request: { host: string; method: string; path: string }): string | undefined {
  // An encoded letter is that letter (RFC 3986, section 2.3): who takes the two for different paths has neither.
  for (const [path, how] of readingsOf(normalForm(request.path)))
    if (isGuarded(rules, { ...request, path })) return `${how}: ${path}`
  return undefined
}

async function startReader(witness: Witness): Promise<AsyncDisposable & { readonly origin: string }> {
  const server = createServer((request, response) => {
    const { url = '', method = '', headers } = request
    const id = String(headers['x-request-id'])
    witness.arrived(Number(headers['x-case']), url, { method, host: headers.host ?? '', id })
    response.writeHead(200, ['Content-Length', '2']).end('ok')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function attack(t: TestContext, rules: RuleSet, tallies: { hits: Tally; differences: Tally }): Promise<void> {
  const count = shareOfEach(200_000, ruleSets.length)
  const witness = new Witness(rules, tallies.hits, tallies.differences)
  await using reader = await startReader(witness)
  await using gateway = await startGateway({
    config: `upstreams: { app: { servers: ["${reader.origin}"] } }\nlogin: { url: https://login.test/ }\nadmin: off\n${yamlOf(rules, 'app')}`,
    onRequestLine: (line) => witness.told(line),
  })
  const statuses = new Map<number, number>()
  let answered = 0
  let biting = 0
  function* noted(): Generator<Case> {
    for (const sent of casesFor(rules, count)) {
      witness.cases.set(sent.number, sent)
      if (sent.number % 20 === 0 && witness.wouldHit(sent)) biting += 20
      yield sent
    }
  }
  await sendAll(gateway.port, noted(), (sent, answer) => {
    tallies.hits.looks += 1
    answered += 1
    witness.cases.delete(sent.number)
    const status = answer?.status ?? 0
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
  })
  await until('the log has told of every request', () => witness.unmatched === 0)
  const told = [...statuses].sort(([a], [b]) => a - b).map(([status, times]) => `${status}: ${times}`)
  t.diagnostic(`${rules.name}: ${told.join(', ')}; ${biting} would be taken for guarded ones`)
  assert.equal(answered, count)
  assert.equal(gateway.process.exitCode, null, gateway.stderr().slice(-3000))
  assert.doesNotMatch(gateway.stderr(), /^\s+at |Uncaught|Unhandled/m)
  // A generator of which nothing passes, or nothing bites, proves nothing.
  assert.ok(witness.forwarded > count / 50, `only ${witness.forwarded} of ${count} went up`)
  assert.ok(biting > count / 10, `only ${biting} of ${count} would have been taken for guarded ones`)
}

describe('whatever a path looks like, an app reads in it nothing that the rules did not see', () => {
  for (const rules of ruleSets) {
    test(rules.name, async (t) => {
      const about = { unit: 'targets', seed }
      await counted(t, { ...about, promise: `protected hits without a session, ${rules.name}` }, (hits) =>
        counted(t, { ...about, promise: `rule path and sent path differ, ${rules.name}` }, (differences) =>
          attack(t, rules, { hits, differences }),
        ),
      )
    })
  }
})
