import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { startEvil } from '../support/evil-upstream.ts'
import { byPath, type FaultGate, openGate, openTlsGate, times } from './stage.ts'

/** The first bytes of TLS 1.3's client hello, and others that are not what this port is for. */
const strangers: [why: string, bytes: Buffer][] = [
  ['TLS', Buffer.from('16030100f8010000f40303', 'hex')],
  ['HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
  ['the PROXY protocol', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n')],
  ['SSH', Buffer.from('SSH-2.0-OpenSSH_9.6\r\n')],
  ['nothing but line ends', Buffer.from(`${'\r\n'.repeat(200)}x`)],
  ['zeros', Buffer.alloc(4096)],
]

describe('row 33: a client that does not speak HTTP', () => {
  test('row 33: gets 400 or a closed connection, nobody else notices, and it does not fill the log', async (t) => {
    await using upstream = await startEvil(byPath({}))
    await using gate = await openGate(upstream.origin)
    const before = gate.openFiles()
    const startedMs = performance.now()
    const asked = await everyStranger(async (why, bytes) => {
      const said = await answerTo(gate, bytes)
      assert.match(said, /^(HTTP\/1\.1 4\d\d |$)/, `${why}: ${bytes.toString('hex')}`)
    })
    await gate.assertServes()
    await gate.untilQuiet(before + 4)
    assert.equal(upstream.connections.length, 0)
    const lines = gate.gateway.log.filter((line) => String(line['error.type']).startsWith('ERR_')).length
    t.diagnostic(`${asked} connections, ${lines} lines`)
    assertLimited(lines, { each: 100, startedMs })
  })

  test('row 33: at a port that speaks TLS: closed or told so, handshakes of others go on, and it does not fill the log', async (t) => {
    await using upstream = await startEvil(byPath({}))
    await using secure = await openTlsGate(upstream.origin)
    const { gate } = secure
    const before = gate.openFiles()
    const startedMs = performance.now()
    const asked = await everyStranger(async (why, bytes) => {
      // An alert of TLS, or the words for those who speak plain HTTP.
      const said = await answerTo(gate, bytes)
      const isAlert = said.startsWith(TLS_ALERT)
      assert.ok(isAlert || /^(HTTP\/1\.1 400 |$)/.test(said), `${why}: ${bytes.toString('hex')}: ${said}`)
    })
    await using client = await secure.connect()
    await client.send('GET /well HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    assert.equal((await client.response()).body.toString(), 'well')
    await client[Symbol.asyncDispose]()
    await gate.untilQuiet(before + 4)
    assert.equal(upstream.connections.length, 0)
    const lines = gate.gateway.log.filter(({ msg }) => msg === 'tls handshake failed').length
    t.diagnostic(`${asked} connections, ${lines} lines`)
    assertLimited(lines, { each: 20, startedMs })
    assert.doesNotMatch(gate.gateway.stderr(), /Unhandled|Uncaught|MaxListeners|Warning/)
  })
})

/** The first bytes of an alert. */
const TLS_ALERT = '\x15\x03'

/** All that the gateway says to these bytes on a connection of their own, until it ends. */
async function answerTo(gate: FaultGate, bytes: Buffer): Promise<string> {
  await using client = await gate.connect()
  await client.send(bytes).catch(() => undefined)
  client.end()
  return (await client.rest()).toString('latin1')
}

/** Plays all strangers, some at a time; how many they were. */
async function everyStranger(play: (why: string, bytes: Buffer) => Promise<void>): Promise<number> {
  const count = times({ usual: 400, whole: 100_000 })
  let next = 0
  async function playOn(): Promise<void> {
    for (let i = next++; i < count; i = next++) {
      const [why, bytes] = strangers[i] ?? ['chance', randomBytes(1 + (i % 600))]
      await play(why, bytes)
    }
  }
  await Promise.all(Array.from({ length: 10 }, playOn))
  return count
}

/** So many in each ten seconds that have begun. */
function assertLimited(lines: number, { each, startedMs }: { each: number; startedMs: number }): void {
  const most = each * (2 + (performance.now() - startedMs) / 10_000)
  assert.ok(lines >= 1 && lines <= most, `${lines} lines`)
}
