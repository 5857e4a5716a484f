/**
 * 100,000 requests of strangers and of people who are logged in, sound ones and odd ones, with words in them that must stay
 * where they are: in cookies, keys, sessions, and headers. What is counted is what the gateway has made of them: sessions
 * for strangers, secrets that it tells, log lines that are none, names in its metrics.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LogLine } from '../../support/gateway.ts'
import { sendAll } from '../../support/pipelining-client.ts'
import { createRandom, type Random } from '../../support/random.ts'
import { openStage, rowsOf } from '../stage.ts'
import { chosenSeed, counted, share, type Tally } from './tally.ts'

const seed = chosenSeed()
const USERS = 20
/** Stands in everything that must be told to nobody. */
const SECRET = 'CANARY'
/** Stands in what strangers make up, where the metrics could take it for a label. */
const MARK = 'zq7x'

const padded = (word: string): string => `${SECRET}${word}`.padEnd(50, 'x')

const config = `
session: { secret_key: "${padded('secretkey')}", auth_key: userInfo }
keys: [{ id: k1, secret: "${padded('signing')}" }]
admin: { listen: "127.0.0.1:0", token: ${SECRET}-operators-token-0123456789 }
signing: { max_bytes: 2000 }
upstreams:
  app: { servers: ["APP"], writeback: { allow: [userInfo, cart] } }
  dead: { servers: ["http://127.0.0.1:1"] }
routes:
  - { id: dead, match: { path: /dead/* }, upstream: dead, headers: { request: { X-Api-Key: ${SECRET}apikey } } }
  - { id: guarded, match: { path: /guarded/* }, upstream: app, auth: required, csrf: same-site, allow: 'session.userInfo.role == "CANARYrule" && session.userInfo.missing.x' }
  - { id: plain, match: { path: /plain/* }, upstream: app, headers: { session: { X-User-Name: userInfo.name } } }
  - { id: kept, match: { path: /kept/* }, upstream: app, auth: required, keep_post: {} }
  - { id: app, match: { path: /* }, upstream: app, limits: { body: 1000 } }
`

/** What the app is told to say about the session, and may not, or cannot. */
const malformed = [
  '{"cart":"CANARYmalformed"',
  '{"secret":"CANARYforbidden"}',
  '{"cart":NaN,"x":"CANARYnan"}',
  `{"cart":"${'CANARYlarge'.repeat(120)}"}`,
]

interface Case {
  readonly bytes: string
  readonly method: string
  /** It brings the cookie of somebody who is logged in. */
  readonly isKnown: boolean
}

function* casesFor(count: number, { random, keys }: { random: Random; keys: readonly string[] }): Generator<Case> {
  const { pick, below, chance } = random
  for (let number = 0; number < count; number += 1) {
    const word = `${MARK}${number.toString(36)}`
    const isKnown = chance(0.4)
    const key = isKnown
      ? pick(keys)
      : pick([word.padEnd(32, 'k'), `${SECRET}key${word}`, `${word}'`, 'a'.repeat(200), ''])
    const method = pick([
      'GET',
      'GET',
      'GET',
      'POST',
      'HEAD',
      'PUT',
      'OPTIONS',
      chance(0.3) ? word.toUpperCase() : 'GET',
    ])
    const odd = pick(['/', '%zz', '..;/', '%2e%2e/'])
    const folder = chance(0.1) ? odd : pick(['', '', 'plain/', 'guarded/', 'kept/', 'dead/'])
    const host = chance(0.9) ? 'app.test' : pick([`${word}.test`, `[::${below(9)}]`, `a b${word}`, '', 'a@b'])
    const body = method === 'POST' || method === 'PUT' ? `a=${SECRET}body${'x'.repeat(chance(0.05) ? 1500 : 0)}` : ''
    const lines = [
      `Host: ${host}`,
      `Cookie: other=${SECRET}cookie; sessionid=${key}`,
      ...(chance(0.5) ? [`Authorization: Bearer ${SECRET}authorization`] : []),
      ...(chance(0.3) ? [`Referer: http://app.test/?${SECRET}referer`] : []),
      ...(chance(0.3) ? [`User-Agent: ${word}\x1b[31m\xe2\x80\xa8"}{\\`] : []),
      ...(chance(0.2) ? [`X-Request-Id: ${word}`, `Traceparent: 00-${word}`, `X-Forwarded-Host: ${word}`] : []),
      ...(chance(0.3) ? ['Accept: text/html'] : []),
      ...(chance(0.2)
        ? [`Sec-Fetch-Site: ${pick(['same-origin', 'cross-site', word])}`, 'Sec-Fetch-Mode: navigate']
        : []),
      ...(chance(0.2) ? [`Say: ${pick(['X-Session-Set', 'X-Session-Delete'])}: ${pick(malformed)}`] : []),
      ...(chance(0.05) ? [`Say: Set-Cookie: sessionid=${SECRET}app`] : []),
      ...(chance(0.02)
        ? [pick(['Transfer-Encoding: x', 'Content-Length: 1, 1', 'Expect: x', `Upgrade: ${word}`])]
        : []),
      ...(body === '' ? [] : ['Content-Type: application/x-www-form-urlencoded', `Content-Length: ${body.length}`]),
    ]
    const target = `/${folder}${word}?${SECRET}query`
    yield { bytes: `${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`, method, isKnown }
  }
}

interface Tallies {
  readonly rows: Tally
  readonly secrets: Tally
  readonly lines: Tally
  readonly series: Tally
}

async function attack(count: number, { rows, secrets, lines, series }: Tallies): Promise<string> {
  const keys: string[] = []
  const tells = (text: string): string | undefined =>
    /CANARY[\w-]*/.exec(text)?.[0] ?? keys.find((key) => text.includes(key)) ?? /eyJ[\w-]{20,}\.[\w-]+/.exec(text)?.[0]
  const look = (place: string, text: string): void => {
    const found = tells(text)
    secrets.look(found === undefined, () => `${found} in ${place}: ${text.slice(0, 600)}`)
  }
  const onRequestLine = (line: LogLine): void => {
    lines.look(typeof line.msg === 'string' && typeof line.time === 'string', () => JSON.stringify(line))
    look('a log line', JSON.stringify(line))
  }
  await using stage = await openStage(config, { onRequestLine })
  const { gateway } = stage
  for (let i = 0; i < USERS; i += 1) {
    const data = { userInfo: { id: i, name: padded('value'), role: `${SECRET}role` }, cart: `${SECRET}cart` }
    const answer = await fetch(gateway.url, { headers: { Say: `X-Session-Set: ${JSON.stringify(data)}` } })
    keys.push(/sessionid=([a-z0-9]{32});/.exec(answer.headers.get('set-cookie') ?? '')?.[1] ?? '')
  }
  assert.equal(new Set(keys).size, USERS)
  const known = JSON.stringify(rowsOf(gateway.folder))
  const statuses = new Map<number, number>()
  await sendAll(gateway.port, casesFor(count, { random: createRandom(seed), keys }), ({ isKnown }, answer) => {
    if (!isKnown) rows.looks += 1
    const { status = 0, head = '', body = '' } = answer ?? {}
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    // An app may say to its visitor what it likes; where the visitor was, and came from, is in our answers, too.
    const isOwn = status !== 200
    if (isOwn)
      look(
        'an answer',
        `${head}\n${body}`.replaceAll(/CANARY(?:query|referer)/g, '').replaceAll(/^set-cookie: .*$/gim, ''),
      )
  })
  if (JSON.stringify(rowsOf(gateway.folder)) !== known) rows.broken('the rows are others now')
  const metrics = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
  for (const line of metrics.split('\n').filter((text) => text.startsWith('sessiongate_'))) {
    series.look(!line.toLowerCase().includes(MARK), () => line)
    look('the metrics', line)
  }
  assert.equal(gateway.process.exitCode, null, gateway.stderr().slice(-3000))
  await gateway.stop()
  for (const line of gateway.log) look('a log line', JSON.stringify(line))
  look('stderr', gateway.stderr())
  assert.doesNotMatch(gateway.stderr(), /^\s+at |Uncaught|Unhandled/m)
  assert.ok(lines.looks > count / 2 && (statuses.get(200) ?? 0) > count / 10, JSON.stringify([...statuses]))
  assert.ok(series.looks < 2_000, `${series.looks} series`)
  return [...statuses].map(([status, times]) => `${status}: ${times}`).join(', ')
}

test('strangers are given no session, are told no secret, and leave nothing of theirs in the gateway’s own books', (t) =>
  counted(t, { promise: 'sessions stored for strangers', unit: 'requests with made-up cookies', seed }, (rows) =>
    counted(t, { promise: 'secrets told', unit: 'log lines, answers and metrics', seed }, (secrets) =>
      counted(t, { promise: 'log lines that are no JSON object', unit: 'log lines', seed }, (lines) =>
        counted(t, { promise: 'series with a word of a stranger’s', unit: 'series', seed }, async (series) => {
          t.diagnostic(await attack(share(100_000), { rows, secrets, lines, series }))
        }),
      ),
    ),
  ))
