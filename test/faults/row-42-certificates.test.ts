import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startApp } from '../support/app.ts'
import { type Authority, type Issued, openAuthority } from '../support/certificates.ts'
import { within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'
import { askTls } from '../support/tls-client.ts'
import { pause, times } from './stage.ts'

/** How long after new files are there the new pair must be shown. */
const SEEN_WITHIN_MS = 5_000

interface Stage extends AsyncDisposable {
  readonly gateway: TestGateway
  readonly authority: Authority
  /** Puts bytes in the place of `main.crt` or `main.key`, in one step or, if they are half of a file, as a slow writer would. */
  put(file: 'main.crt' | 'main.key', bytes: string): Promise<void>
}

async function openStage(first: (authority: Authority) => Promise<Issued>): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-certificates-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const authority = await openAuthority(folder)
  const { cert, key } = await first(authority)
  const app = stack.use(await startApp(() => ({ body: 'served' })))
  const gateway = stack.use(
    await startGateway({
      folder,
      files: { 'main.crt': cert, 'main.key': key },
      config: `hosts: [localhost]
listen: [{ address: "127.0.0.1:0", tls: { cert: main.crt, key: main.key } }]
upstreams: { app: { servers: ["${app.origin}"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`,
    }),
  )
  const closing = stack.move()
  return {
    gateway,
    authority,
    async put(file, bytes) {
      await writeFile(join(folder, `${file}.new`), bytes)
      await rename(join(folder, `${file}.new`), join(folder, file))
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** What replaces the pair in force and cannot be used; the other file stays as it is. */
const disorders: [what: string, file: 'main.crt' | 'main.key', bytes: (other: Issued, ended: Issued) => string][] = [
  ['half of a certificate', 'main.crt', ({ cert }) => cert.slice(0, cert.length / 2)],
  ['half of a key', 'main.key', ({ key }) => key.slice(0, key.length / 2)],
  ['the key of another', 'main.key', ({ key }) => key],
  ['the certificate of another', 'main.crt', ({ cert }) => cert],
  ['a certificate that has ended', 'main.crt', (_, ended) => ended.cert],
  ['nothing', 'main.crt', () => ''],
]

test('row 42: certificates that change under handshakes: none fails, the new one is shown in time, and a bad one never', async (t) => {
  const pairs: Issued[] = []
  await using stage = await openStage(async (authority) => {
    for (let i = 0; i < 4; i++) pairs.push(await authority.issue({ hosts: ['localhost'] }))
    return pairs[0] ?? assert.fail()
  })
  const { gateway, authority, put } = stage
  const ended = await authority.issue({ hosts: ['localhost'], days: -1 })
  const known = new Map(pairs.map(({ cert }, i) => [new X509Certificate(cert).fingerprint256, i]))
  const shownBy = async (options: object = {}): Promise<number | undefined> => {
    const { certificate, text } = await askTls({ port: gateway.port, ca: authority.cert, ...options })
    assert.match(text, /^HTTP\/1\.1 200 [\s\S]*served$/)
    return known.get(certificate?.fingerprint256 ?? '')
  }
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
    return Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${name}{name="main.crt"`))
        ?.split(' ')[1],
    )
  }
  const inOrder = 'sessiongate_tls_certificate_last_reload_successful'
  /** How long it took, in milliseconds. */
  async function untilTrue(what: string, holds: () => Promise<boolean>): Promise<number> {
    const startedMs = performance.now()
    while (!(await within(what, holds()))) {
      assert.ok(performance.now() - startedMs < SEEN_WITHIN_MS, `${SEEN_WITHIN_MS} ms until ${what}`)
      await pause(20)
    }
    return performance.now() - startedMs
  }

  let handshakes = 0
  let isOver = false
  async function keepAsking(maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<void> {
    for (; !isOver; handshakes++) assert.notEqual(await shownBy({ maxVersion }), undefined)
  }
  await using kept = await connectRaw({ port: gateway.port, tlsServername: 'localhost' })
  const askKept = async (): Promise<number> => {
    await kept.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    return (await kept.response()).status
  }
  const seenMs: number[] = []
  let refused = 0
  async function rotate(): Promise<void> {
    for (let round = 1; round <= times({ usual: 3, whole: 200 }); round++) {
      const pair = pairs[round % 4] ?? assert.fail()
      await put('main.crt', pair.cert)
      await put('main.key', pair.key)
      seenMs.push(await untilTrue('the new certificate is shown', async () => (await shownBy()) === round % 4))
      assert.equal(await askKept(), 200, 'on a connection from before')
      const [what, file, bytes] = disorders[round % disorders.length] ?? assert.fail()
      await put(file, bytes(pairs[(round + 2) % 4] ?? pair, ended))
      await untilTrue(`${what} is told of`, async () => (await metric(inOrder)) === 0)
      refused += 1
      for (let i = 0; i < 3; i++) assert.equal(await shownBy(), round % 4, `the one before stays: ${what}`)
      await put(file, file === 'main.crt' ? pair.cert : pair.key)
      await untilTrue('it is in order again', async () => (await metric(inOrder)) === 1)
    }
  }
  await Promise.all([rotate().finally(() => (isOver = true)), keepAsking('TLSv1.2'), keepAsking('TLSv1.3')])

  const sorted = seenMs.toSorted((a, b) => a - b).map(Math.round)
  t.diagnostic(
    `${seenMs.length} swaps, ${refused} bad ones, ${handshakes} handshakes, none failed; shown after ${sorted[sorted.length >> 1]} ms, at most ${sorted.at(-1)} ms`,
  )
  assert.equal(await metric('sessiongate_tls_certificate_reloads_total'), seenMs.length)
  const failures = (await (await fetch(`${gateway.operatorUrl}/metrics`)).text()).match(
    /^sessiongate_tls_handshake_failures_total.*$/gm,
  )
  assert.equal(failures, null, 'a handshake failed')
  assert.doesNotMatch(gateway.stderr(), /Unhandled|Uncaught|MaxListeners|Warning/)
})
