import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { describe, test } from 'node:test'
import { within } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { connectRaw, type RawClient } from '../support/raw-client.ts'
import { ask, openGate, pause, times } from './stage.ts'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`

/** An app that says what it was asked for. */
function startParrot(waitMs = 0) {
  return startApp(async (incoming, response) => {
    if (waitMs > 0) await pause(waitMs)
    response.end(incoming.url)
  })
}

/** Of the processor, in milliseconds, that a process has used so far. */
function cpuMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

describe('row 44: no more file descriptors', () => {
  test('row 44: the process lives and does not spin, who is connected is served, and others are when some are free again', async () => {
    await using app = await startParrot()
    await using gate = await openGate(app.origin, { maxOpenFiles: 256 })
    await using regular = await gate.connect()
    const asRegular = async (path: string): Promise<string> => {
      await regular.send(get(path))
      return (await regular.response()).body.toString()
    }
    assert.equal(await asRegular('/before'), '/before')
    await using stack = new AsyncDisposableStack()
    const crowd: RawClient[] = []
    for (let i = 0; i < 400; i++) crowd.push(stack.use(await gate.connect()))
    for (let i = 0; i < 5; i++) assert.equal(await asRegular(`/during/${i}`), `/during/${i}`)
    const startedMs = cpuMs(gate.gateway.process.pid)
    await pause(1_000)
    const usedMs = cpuMs(gate.gateway.process.pid) - startedMs
    assert.ok(usedMs < 200, `${usedMs} ms of a second with nothing to do`)
    assert.equal(await asRegular('/still'), '/still')
    assert.equal(gate.gateway.process.exitCode, null)
    for (const client of crowd) client.socket.destroy()
    await within('a newcomer to be served', servedAgain(gate.gateway.port))
    await gate.assertServes()
  })
})

/** Until the system has noticed that the crowd is gone, a newcomer may be turned away. */
async function servedAgain(port: number): Promise<void> {
  for (;;) {
    await using client = await connectRaw(port)
    await client.send(get('/after')).catch(() => undefined)
    const answer = await client.response().catch(() => undefined)
    if (answer?.body.toString() === '/after') return
    await pause(50)
  }
}

describe('row 49: more than it can do', () => {
  test('row 49: every request has its own answer, those of other apps too, and nothing stays behind', async () => {
    const count = times({ usual: 2_000, whole: 200_000 })
    await using app = await startParrot(100)
    await using gate = await openGate(app.origin, { timeouts: 'connect: 10s, first_byte: 30s, idle: 30s' })
    const openFiles = gate.openFiles()
    const agent = new Agent({ keepAlive: true, maxSockets: 400 })
    const wrong: string[] = []
    let done = 0
    let neighbours = 0
    let next = 0
    async function visitor(): Promise<void> {
      while (next < count) {
        const path = `/${next++}`
        const body = await ask(agent, gate.gateway.port, path).catch(String)
        if (body !== path) wrong.push(`${path}: ${body}`)
        done += 1
      }
    }
    const visitors = Promise.all(Array.from({ length: 400 }, visitor))
    while (done < count) {
      await gate.assertServes()
      neighbours += 1
    }
    await visitors
    agent.destroy()
    assert.deepEqual(wrong, [])
    assert.ok(neighbours > 0)
    await gate.untilQuiet(openFiles + 8)
  })
})
