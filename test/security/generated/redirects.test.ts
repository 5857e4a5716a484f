/**
 * Every payload of a list of open redirects, and twenty thousand that are made of their pieces: as the address to return to,
 * on its way into the login, and as the address that somebody asks for, on its way out to it. Judged by the URL standard,
 * and a sample by Chromium.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { chromium as browserType } from 'playwright-core'
import { startGateway, type TestGateway } from '../../support/gateway.ts'
import { sendAll } from '../../support/pipelining-client.ts'
import { createRandom } from '../../support/random.ts'
import { requireServer } from '../../support/requirement.ts'
import { readingsOf } from './path-readers.ts'
import { createPayloads, knownPayloads, valuesIn } from './redirect-payloads.ts'
import { chosenSeed, counted, share, type Tally } from './tally.ts'

const seed = chosenSeed()
const chromium = requireServer('chromium')

const routes = `
login: { url: /login, allowed_hosts: [good.test] }
routes:
  - { id: login, match: { path: [/login, /login/] }, upstream: app, auth: public }
  - { id: open, match: { path: [/, /open/*] }, upstream: app, auth: public }
  - { id: rest, match: { path: /* }, upstream: app, auth: required, ambiguous_paths: allow }
`

interface Case {
  readonly bytes: string
  readonly payload: string
  readonly kind: 'next' | 'target'
}

/** As bytes of UTF-8, one character each, which is how they stand on a wire. */
const bytesOf = (text: string): string => Buffer.from(text).toString('latin1')
const encoded = (text: string): string => encodeURIComponent(text.toWellFormed())

function* casesFor(payload: string): Generator<Case> {
  const lines = 'Host: app.test\r\nAccept: text/html\r\n\r\n'
  const plain = bytesOf(payload).replace(/[\r\n]/g, '')
  for (const value of new Set([plain, encoded(payload), encoded(encoded(payload))])) {
    for (const query of [`next=${value}`, `a=b&n%65xt=${value}&c`, `next=/a&next=${value}`]) {
      yield { bytes: `GET /login?${query} HTTP/1.1\r\n${lines}`, payload, kind: 'next' }
    }
    for (const target of [value, `/${value}`, `/a?b=${value}`, `/login/..${value}`]) {
      yield { bytes: `GET ${target} HTTP/1.1\r\n${lines}`, payload, kind: 'target' }
    }
  }
}

const ownOrigin = 'http://app.test'

function leadsAway(value: string): boolean {
  if (!URL.canParse(value, `${ownOrigin}/login`)) return false
  const { origin } = new URL(value, `${ownOrigin}/login`)
  return origin !== ownOrigin && origin !== 'https://good.test'
}

describe('nobody is sent to a place that is not ours', () => {
  let server: Server
  let gateway: TestGateway
  let tally: Tally | undefined
  before(async () => {
    server = createServer((request, response) => {
      const { url = '' } = request
      const at = url.indexOf('?')
      const [path, query] = at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at)]
      // What other pages do with a parameter of that name is their business.
      const isLogin = [...readingsOf(path).keys()].some((reading) => /^\/login\/?$/.test(reading))
      const away = isLogin ? valuesIn(query, 'next').find(leadsAway) : undefined
      if (away !== undefined) tally?.broken(`the login got ${url}: ${away}`)
      respond(response, new URLSearchParams(query))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    gateway = await startGateway({
      config: `upstreams: { app: { servers: ["${origin}"] } }\nadmin: off\n${routes}`,
      onRequestLine: () => undefined,
    })
  })
  after(async () => {
    server.closeAllConnections()
    server.close()
    await gateway[Symbol.asyncDispose]()
  })

  async function attack(payloads: Iterable<string>, told: Tally): Promise<void> {
    tally = told
    function* cases(): Generator<Case> {
      for (const payload of payloads) yield* casesFor(payload)
    }
    await sendAll(gateway.port, cases(), ({ payload, bytes }, answer) => {
      told.looks += 1
      const location = /^location: (.*?)\r?$/im.exec(answer?.head ?? '')?.[1]
      if (location === undefined) return
      const query = location.includes('?') ? location.slice(location.indexOf('?')) : ''
      const away = [location, ...valuesIn(query, 'next')].filter(leadsAway)
      if (away.length > 0 || !location.startsWith('/login'))
        told.broken(
          `${JSON.stringify(payload)} by ${JSON.stringify(bytes.split('\r\n', 1)[0])}: ${location}: ${away[0]}`,
        )
    })
    tally = undefined
    assert.equal(gateway.process.exitCode, null)
  }

  test('by any payload that is known', (t) =>
    counted(t, { promise: 'known payloads that lead off the own origin', unit: 'requests' }, (told) =>
      attack(knownPayloads, told),
    ))

  test('by none that is made of their pieces', (t) => {
    const payloads = createPayloads(createRandom(seed))
    const made = Array.from({ length: share(20_000) }, payloads)
    return counted(t, { promise: 'generated payloads that lead off the own origin', unit: 'requests', seed }, (told) =>
      attack(made, told),
    )
  })

  test('and Chromium goes nowhere else either', { skip: chromium.skip }, (t) =>
    counted(t, { promise: 'payloads by which Chromium leaves the own origin', unit: 'pages' }, async (told) => {
      const args = [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-background-networking',
        '--disable-component-update',
        '--no-first-run',
      ]
      await using browser = await browserType.launch({
        executablePath: chromium.path,
        args: [...args, '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
      })
      const page = await browser.newPage()
      const asked: string[] = []
      page.on('request', (request) => asked.push(request.url()))
      page.on(
        'dialog',
        (dialog) => void dialog.dismiss().finally(() => told.broken(`a script ran: ${dialog.message()}`)),
      )
      const random = createRandom(seed)
      const payloads = createPayloads(random)
      for (let i = 0; i < share(1_000); i += 1) {
        const payload = i % 2 === 0 ? random.pick(knownPayloads) : payloads()
        const how = random.pick(['head', 'script', 'decoded'])
        await page
          .goto(`${gateway.url}/login?how=${how}&next=${encoded(payload)}`, { waitUntil: 'load', timeout: 10_000 })
          .catch(() => undefined)
        told.look(
          asked.every((url) => isOurs(url, gateway.url)),
          () => `${JSON.stringify(payload)}, ${how}: ${asked.join(' ')}`,
        )
        asked.length = 0
      }
    }),
  )
})

/** The one host that may be named in full, and is not there. */
function isOurs(url: string, origin: string): boolean {
  return url.startsWith(`${origin}/`) || /^https:\/\/good\.test[/?#]/.test(url) || /^(?:about|chrome-error):/.test(url)
}

/** A login as careless as they come: it sends people where the parameter says. */
function respond(response: ServerResponse, params: URLSearchParams): void {
  const next = params.get('next') ?? ''
  const how = params.get('how')
  try {
    if (how === 'head' || how === 'decoded') {
      const place = how === 'head' ? next : decodeURIComponent(next)
      response.writeHead(302, { Location: Buffer.from(place).toString('latin1'), 'Content-Length': 0 }).end()
      return
    }
  } catch {
    // What cannot stand in a header goes nowhere.
  }
  const text =
    how === 'script'
      ? `<!doctype html><script>location.href = ${JSON.stringify(next).replaceAll('<', '\\u003c')}</script>`
      : 'ok'
  response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Length': Buffer.byteLength(text) }).end(text)
}
