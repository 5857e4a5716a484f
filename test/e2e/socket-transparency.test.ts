import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { within } from '../support/deadline.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { type Splitter, startSplitter } from '../support/splitter.ts'

type Side = 'client' | 'server'

/** What one side does. `between` is a ping in the middle of a message in several frames. */
type Deed =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'binary'; readonly bytes: Uint8Array }
  | { readonly kind: 'frames'; readonly frames: readonly Uint8Array[]; readonly between: Uint8Array | undefined }
  | { readonly kind: 'ping' | 'pong'; readonly bytes: Uint8Array }

type Act = readonly [from: Side, deed: Deed]

interface Ending {
  readonly from: Side
  /** Undefined: a Close frame without one. */
  readonly code: number | undefined
  readonly reason: string
}

const MIB = 2 ** 20
const side = fc.constantFrom<Side>('client', 'server')
const control = fc.uint8Array({ maxLength: 125 })
/** Lengths at which the form of a frame's head changes, and others up to a mebibyte. */
const length = fc.oneof(
  fc.constantFrom(0, 1, 125, 126, 127, 65_535, 65_536, 65_537, MIB),
  fc.integer({ min: 0, max: 2_000 }),
  fc.integer({ min: 0, max: MIB }),
)
const bytes = fc.tuple(length, fc.nat()).map(([size, seed]) => Buffer.from(patternOf(size, seed)))
const deed: fc.Arbitrary<Deed> = fc.oneof(
  fc.record({ kind: fc.constant('text' as const), text: fc.string({ unit: 'grapheme', maxLength: 2_000 }) }),
  fc.record({ kind: fc.constant('binary' as const), bytes }),
  fc.record({
    kind: fc.constant('frames' as const),
    frames: fc.array(fc.uint8Array({ maxLength: 3_000 }), { minLength: 2, maxLength: 5 }),
    between: fc.option(control, { nil: undefined }),
  }),
  fc.record({ kind: fc.constantFrom('ping' as const, 'pong' as const), bytes: control }),
)
const acts = fc.array(fc.tuple(side, deed), { maxLength: 12, size: 'max' })
const ending: fc.Arbitrary<Ending> = fc.record({
  from: side,
  code: fc.constantFrom(undefined, 1000, 1001, 1003, 1008, 1011, 1014, 3000, 4999),
  reason: fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => Buffer.byteLength(text) <= 123),
})

function patternOf(size: number, seed: number): Uint8Array {
  const pattern = new Uint8Array(size)
  for (let i = 0; i < size; i++) pattern[i] = (i * 31 + (i >> 8) + seed) & 0xff
  return pattern
}

/** What the other side must see of it, in this order. */
function seenOf(act: Deed): string[] {
  switch (act.kind) {
    case 'text':
      return [`text ${Buffer.from(act.text).toString('base64')}`]
    case 'binary':
      return [`binary ${Buffer.from(act.bytes).toString('base64')}`]
    case 'frames': {
      const whole = `binary ${Buffer.concat(act.frames).toString('base64')}`
      return act.between === undefined ? [whole] : [`ping ${Buffer.from(act.between).toString('base64')}`, whole]
    }
    default:
      return [`${act.kind} ${Buffer.from(act.bytes).toString('base64')}`]
  }
}

function perform(socket: WebSocket, act: Deed): void {
  switch (act.kind) {
    case 'text':
      socket.send(act.text)
      break
    case 'binary':
      socket.send(act.bytes)
      break
    case 'frames':
      for (const [i, frame] of act.frames.entries()) {
        if (i === 1 && act.between !== undefined) socket.ping(act.between)
        socket.send(frame, { fin: i === act.frames.length - 1, binary: true })
      }
      break
    default:
      socket[act.kind](act.bytes)
  }
}

/** What comes at one end of a WebSocket. */
interface Heard {
  /** In order. */
  readonly seen: readonly string[]
  /** Resolves when so much has come. */
  came(count: number): Promise<void>
  /** Code and reason. */
  readonly closed: Promise<string>
}

function listen(socket: WebSocket): Heard {
  const seen: string[] = []
  let wake = (): void => {}
  function note(what: string): void {
    seen.push(what)
    wake()
  }
  const { promise: closed, resolve } = Promise.withResolvers<string>()
  socket.on('message', (data: RawData, isBinary: boolean) => {
    note(`${isBinary ? 'binary' : 'text'} ${(data as Buffer).toString('base64')}`)
  })
  socket.on('ping', (data: Buffer) => note(`ping ${data.toString('base64')}`))
  socket.on('pong', (data: Buffer) => note(`pong ${data.toString('base64')}`))
  socket.on('error', (error) => note(`error ${error.message}`))
  socket.on('close', (code, reason) => resolve(`${code} ${reason}`))
  return {
    seen,
    closed,
    async came(count) {
      while (seen.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}

const runs = process.env.SESSIONGATE_FAULTS === 'whole' ? 1_000 : 100

for (const isDeflated of [false, true]) {
  describe(`a WebSocket with ws at both ends${isDeflated ? ', compressed' : ''}`, () => {
    const perMessageDeflate = isDeflated && { threshold: 0 }
    let server: WebSocketServer
    let gateway: TestGateway
    let front: Splitter
    let back: Splitter
    let state = 1
    /** Small at the beginning of every few pieces, where the heads of frames are; else up to what one read takes. */
    const sizeOf = (): number => {
      state = (state * 48_271) % 2_147_483_647
      return state % 3 === 0 ? 1 + (state % 7) : 1 + (state % 20_000)
    }

    before(async () => {
      server = new WebSocketServer({
        ...{ port: 0, host: '127.0.0.1', autoPong: false, perMessageDeflate },
        handleProtocols: (offered) => [...offered].at(-1) ?? false,
      })
      await once(server, 'listening')
      back = await startSplitter((server.address() as AddressInfo).port, sizeOf)
      gateway = await startGateway({
        config: `
upstreams: { app: { servers: ["http://127.0.0.1:${back.port}"] } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`,
      })
      front = await startSplitter(gateway.port, sizeOf)
    })
    after(async () => {
      for (const peer of server.clients) peer.terminate()
      await front[Symbol.asyncDispose]()
      await gateway[Symbol.asyncDispose]()
      await back[Symbol.asyncDispose]()
      server.close()
    })

    async function open(): Promise<Record<Side, WebSocket>> {
      const connected = once(server, 'connection') as Promise<[WebSocket]>
      const client = new WebSocket(`ws://127.0.0.1:${front.port}/chat`, ['v1', 'v2'], {
        autoPong: false,
        perMessageDeflate,
      })
      await within('the handshake', once(client, 'open'))
      return { client, server: (await connected)[0] }
    }

    test('extensions and subprotocols are what the two ends agree on', async () => {
      const ends = await open()
      assert.deepEqual([ends.client.protocol, ends.server.protocol], ['v2', 'v2'])
      assert.equal(ends.client.extensions, isDeflated ? 'permessage-deflate' : '')
      assert.equal(ends.server.extensions, ends.client.extensions)
      ends.client.terminate()
    })

    test('property: what one end does is what the other sees, in order, however the streams are cut', async (t) => {
      let passed = 0
      await fc.assert(
        fc.asyncProperty(acts, ending, async (done: readonly Act[], end) => {
          const ends = await open()
          const heard = { client: listen(ends.client), server: listen(ends.server) }
          for (const [from, act] of done) perform(ends[from], act)
          // So that what the other end sent is not in the way of the closing handshake.
          const other = end.from === 'client' ? 'server' : 'client'
          const expected = (of: Side) => done.filter(([from]) => from !== of).flatMap(([, act]) => seenOf(act))
          await within('all of it', heard[end.from].came(expected(end.from).length), 30_000)
          if (end.code === undefined) ends[end.from].close()
          else ends[end.from].close(end.code, end.reason)
          const said = end.code === undefined ? '1005 ' : `${end.code} ${end.reason}`
          assert.equal(await within('the close', heard[other].closed, 30_000), said)
          assert.equal(await within('the answer to it', heard[end.from].closed, 30_000), said)
          assert.deepEqual(heard.server.seen, expected('server'))
          assert.deepEqual(heard.client.seen, expected('client'))
          passed += done.length
        }),
        { numRuns: runs },
      )
      t.diagnostic(`${passed} acts of ${runs} pairs, in ${front.pieces + back.pieces} pieces`)
    })
  })
}
