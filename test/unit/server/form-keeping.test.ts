import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { createSealedBox } from '../../../src/lib/sealed-box.ts'
import { createExchange } from '../../../src/observe/exchange.ts'
import { createLogin } from '../../../src/rules/login.ts'
import { localAnswer } from '../../../src/server/answer.ts'
import { createFormKeeping } from '../../../src/server/form-keeping.ts'
import { KeptFormCookies } from '../../../src/server/kept-form-cookies.ts'
import { createPlaceReader } from '../../../src/server/pipeline.ts'
import type { Route } from '../../../src/server/route.ts'
import { Visit } from '../../../src/server/visit.ts'

const usual = localAnswer(303, ['Location', '/login?next=%2F'])

interface Scene {
  readonly keepPost?: Route['keepPost']
  readonly localReason?: 'login_redirect' | undefined
  readonly bodyDeadlineMs?: number
}

/** A form that has arrived, up to its body, and been sent to the login. */
function arrive({ keepPost = { maxBytes: 3072, lifetimeMs: 1000 }, ...scene }: Scene = {}) {
  const body = new PassThrough()
  const raw = ['Host', 'app.test', 'Sec-Fetch-Site', 'same-origin', 'Sec-Fetch-Mode', 'navigate']
  raw.push('Content-Type', 'application/x-www-form-urlencoded')
  const exchange = createExchange({ requestId: 'r', startedAt: 0, peerAddress: '', method: 'POST', scheme: 'http' })
  let wasWanted = false
  function wantBody(): void {
    wasWanted = true
  }
  const door = { isBodyRead: () => false, wantBody, inform: () => undefined }
  const arrived = {
    method: 'POST',
    requestTarget: '/save',
    httpVersion: '1.1',
    raw,
    peer: undefined,
    isTls: false,
    body,
  }
  const visit = new Visit({ ...arrived, onChunk: () => undefined }, door, exchange)
  createPlaceReader(() => false)(visit)
  const login = createLogin({ url: '/login', nextParam: 'next', allowedHosts: [], guard: true })
  // What it asks of a route, and nothing more.
  visit.route = { keepPost, login, maxBodyBytes: undefined } as Route
  exchange.localReason = 'localReason' in scene ? scene.localReason : 'login_redirect'
  const cookies = new KeptFormCookies(createSealedBox(['secret'], 'test'))
  const keep = createFormKeeping({ cookies, clock: () => 0, bodyDeadlineMs: scene.bodyDeadlineMs ?? 60_000 })
  return { answer: keep(visit, usual), body, exchange, wasWanted: () => wasWanted }
}

test('a form that comes whole is kept, and its bytes are counted', async () => {
  const { answer, body, exchange, wasWanted } = arrive()
  body.write('a=')
  body.end('1')
  const { headers } = await answer
  assert.equal(headers[1], '/login?next=%2F.sessiongate%2Fkept-post%3Fback%3D%252F')
  assert.equal(headers.filter((name) => name === 'Set-Cookie').length, 2)
  assert.deepEqual([exchange.requestBodyBytes, wasWanted()], [3, true])
})

test('whoever is answered otherwise than with the way to the login is not waited for', () => {
  const { answer, body, wasWanted } = arrive({ localReason: undefined })
  assert.equal(answer, usual)
  assert.deepEqual([wasWanted(), body.listenerCount('data')], [false, 0])
})

test('a form that does not end in time, or breaks off, is answered as without, and the rest is left unread', async () => {
  const slow = arrive({ bodyDeadlineMs: 1 })
  slow.body.write('a=')
  assert.equal(await slow.answer, usual)
  assert.deepEqual([slow.body.isPaused(), slow.body.listenerCount('data')], [true, 0])
  const broken = arrive()
  broken.body.write('a=')
  broken.body.destroy()
  assert.equal(await broken.answer, usual)
  const failed = arrive()
  failed.body.destroy(new Error('cut'))
  assert.equal(await failed.answer, usual)
})

test('what has no chance to fit is not read to its end', async () => {
  const { answer, body, exchange } = arrive({ keepPost: { maxBytes: 512, lifetimeMs: 1000 } })
  body.write(`a=${'x'.repeat(4_094)}`)
  body.write('x')
  body.write('never counted')
  assert.equal(await answer, usual)
  assert.ok(exchange.requestBodyBytes <= 4_097 + 13)
  assert.equal(body.isPaused(), true)
})
