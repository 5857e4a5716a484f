import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { until } from '../support/deadline.ts'
import { openTlsStage, openTlsWorld, shows, type TlsStage, type TlsWorld } from './tls-stage.ts'

describe('certificate files that change', () => {
  let world: TlsWorld
  before(async () => {
    world = await openTlsWorld()
  })
  after(() => world[Symbol.asyncDispose]())

  test('50 swaps under handshakes: none fails, and each is followed by the new certificate', async () => {
    await using stage = await openTlsStage(world)
    const { ask, at, failures, files, open, put, told } = stage
    for (let number = 0; number < 4; number++) {
      await mkdir(at(`..${number}`))
      await put(`..${number}/main`, world.main(number))
    }
    await put('shop', world.shop)
    await symlink('..0', at('..data'))
    for (const name of ['main.crt', 'main.key']) await symlink(`..data/${name}`, at(name))
    await open({ certificates: [files('main'), files('shop')] })
    const replaced = (): number => told.filter(({ what }) => what === 'replaced').length
    let handshakes = 0
    let isOver = false
    async function keepAsking(maxVersion: 'TLSv1.2' | 'TLSv1.3', servername: string): Promise<void> {
      let session: Buffer | undefined
      while (!isOver) {
        const answer = await ask({ maxVersion, servername, session })
        assert.match(answer.text, /^HTTP\/1\.1 200 /)
        session = handshakes % 2 === 0 ? answer.session : undefined
        handshakes += 1
      }
    }
    const asking = Promise.all([
      keepAsking('TLSv1.2', 'localhost'),
      keepAsking('TLSv1.3', 'localhost'),
      keepAsking('TLSv1.3', 'shop.example'),
    ])
    async function swap(): Promise<void> {
      for (let count = 1; count <= 50; count++) {
        await symlink(`..${count % 4}`, at('..new'))
        await rename(at('..new'), at('..data'))
        await until(`swap ${count} is seen`, () => replaced() === count)
        assert.ok(shows(await ask(), world.main(count % 4)), `after swap ${count}`)
      }
      isOver = true
    }
    await Promise.all([swap().finally(() => (isOver = true)), asking])
    assert.deepEqual(failures, [])
    assert.ok(handshakes > 100, `${handshakes} handshakes`)
    assert.deepEqual(new Set(told.map(({ what }) => what)), new Set(['first', 'replaced']))
  })

  const disorders: [what: string, spoil: (stage: TlsStage) => Promise<void>, reason: RegExp][] = [
    [
      'a half-written certificate',
      ({ at }) => writeFile(at('main.crt'), world.main(1).cert.slice(0, 200)),
      /ends in the middle/,
    ],
    ['an empty file', ({ at }) => writeFile(at('main.crt'), ''), /certificate is empty/],
    [
      'a half-written key',
      ({ at }) => writeFile(at('main.key'), world.main(1).key.slice(0, 100)),
      /holds no private key/,
    ],
    ['the key of another', ({ at }) => writeFile(at('main.key'), world.main(1).key), /key is not the key of/],
    ['a file that is gone', ({ at }) => rm(at('main.key')), /cannot be read \(ENOENT\)/],
    [
      'a certificate that has ended',
      async ({ put }) => put('main', await world.authority.issue({ hosts: ['localhost'], days: -1 })),
      /has expired/,
    ],
  ]
  for (const [what, spoil, reason] of disorders) {
    test(`${what} changes nothing, and is told once; what comes after it counts`, async () => {
      await using stage = await openTlsStage(world)
      const { ask, files, open, put, told } = stage
      await put('main', world.main(0))
      await put('shop', world.shop)
      await open({ certificates: [files('main'), files('shop')] })
      await spoil(stage)
      await until('it is refused', () => told.length > 2)
      assert.match(told[2]?.what ?? '', reason)
      assert.ok(shows(await ask(), world.main(0)), 'the one before stays')
      assert.ok(shows(await ask({ servername: 'shop.example' }), world.shop), 'the others are not touched')
      await put('main', world.main(0))
      await until('it is in order again', () => told.at(-1)?.what === 'restored')
      await put('main', world.main(1))
      await until('the next is taken', () => told.at(-1)?.what === 'replaced')
      assert.ok(shows(await ask(), world.main(1)))
      assert.equal(told.filter(({ what }) => reason.test(what)).length, 1)
    })
  }

  test('two files that are written one after the other are not called bad in between', async () => {
    await using stage = await openTlsStage(world)
    const { at, open, put, told } = stage
    await put('main', world.main(0))
    await open()
    await writeFile(at('main.crt'), world.main(1).cert)
    await writeFile(at('main.key'), world.main(1).key)
    await until('the pair is taken', () => told.length > 1)
    assert.deepEqual(
      told.map(({ what }) => what),
      ['first', 'replaced'],
    )
  })

  test('a handshake that was under way when the certificate was swapped ends well', async () => {
    await using stage = await openTlsStage(world)
    const { ask, open, port, put, told } = stage
    await put('main', world.main(0))
    await open()
    const waiting = connect(port(), '127.0.0.1')
    await once(waiting, 'connect')
    await put('main', world.main(1))
    await until('the swap is told', () => told.length > 1)
    const answer = await ask({ socket: waiting } as never)
    assert.match(answer.text, /200 OK/)
  })
})
