import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startApp } from '../support/app.ts'
import { startGateway } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'

/** Stands in everything that the stranger makes up: where it turns up in the metrics, he has added a series. */
const MARK = 'zq7x'

const config = (origin: string): string => `
hosts: [known.example, "*.known.example"]
session: { engine: signed_cookies, secret_key: "${'k'.repeat(50)}" }
keys: [{ id: a, secret: "${'s'.repeat(50)}" }]
upstreams: { app: { servers: ["${origin}"] } }
routes:
  - { id: open, match: { path: /open/* }, upstream: app, auth: public }
  - { id: some, match: { path: /some/*, method: [GET, POST] }, upstream: app, auth: optional }
  - { id: app, match: { path: /closed/* }, upstream: app, auth: required }
`

/** Requests of the i-th round, of every kind that a stranger can send; each makes up what he can make up. */
function hostileRequests(i: number): string[] {
  const word = `${MARK}${i.toString(36)}`
  const hosts = [
    'known.example',
    `${word}.known.example`,
    `${word}.example`,
    '127.0.0.1',
    `[::${i}]`,
    `bad host ${word}`,
    '',
  ]
  const paths = [
    `/open/${word}`,
    `/some/${word}`,
    `/closed/${word}?${word}`,
    `/${word}`,
    `/open//${word}`,
    `/%zz${word}`,
    `/open/%2e%2e/${word}`,
  ]
  const methods = ['GET', 'POST', 'OPTIONS', word.toUpperCase(), `M-${word}`, 'get']
  const more = [
    `Cookie: sessionid=${word}`,
    `Cookie: sessionid=${word}:${word}:${word}; sessionid=${word}`,
    `Traceparent: 00-${word}`,
    `User-Agent: ${word}\r\nX-Request-Id: ${word}\r\nX-Forwarded-For: ${word}\r\nX-Forwarded-Host: ${word}\r\nOrigin: https://${word}.example\r\nSec-Fetch-Site: cross-site`,
    `Upgrade: ${word}\r\nConnection: upgrade`,
    `Expect: ${word}`,
    `Transfer-Encoding: ${word}`,
  ]
  const pick = <T>(list: readonly T[], step: number): T => list[Math.floor(i / step) % list.length] as T
  const head = (method: string, path: string, host: string, line: string) =>
    `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${line}\r\nConnection: close\r\n\r\n`
  return [
    head(pick(methods, 1), pick(paths, 6), pick(hosts, 42), pick(more, 1)),
    head('GET', pick(paths, 1), 'known.example', pick(more, 7)),
    head(pick(methods, 1), `/open/${word}`, pick(hosts, 6), pick(more, 2)),
    `${word}\r\n\r\n`,
  ]
}

test('what strangers send adds no series, once each kind of answer has been given', async () => {
  await using app = await startApp(() => ({ body: 'hello' }))
  await using gateway = await startGateway({ config: config(app.origin) })
  const send = async (bytes: string): Promise<void> => {
    await using client = await connectRaw(gateway.port)
    await client.send(bytes)
    await client.rest()
  }
  const series = async (): Promise<string[]> => {
    const text = await (await fetch(`${gateway.operatorUrl}/metrics`)).text()
    return text
      .split('\n')
      .filter((line) => line.startsWith('sessiongate_'))
      .map((line) => line.slice(0, line.lastIndexOf(' ')))
  }
  const round = async (from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i++) await Promise.all(hostileRequests(i).map(send))
  }
  // 6 methods, 7 paths, 7 hosts, 7 further lines: with the 295th request of a row they come around again.
  await round(0, 294)
  const before = await series()
  assert.deepEqual(
    before.filter((name) => name.toLowerCase().includes(MARK)),
    [],
  )
  await round(294, 588)
  assert.deepEqual(await series(), before)
  assert.ok(before.some((name) => name.includes('method="_OTHER"')))
  assert.ok(app.requests.some(({ url }) => url.includes(MARK)))
})
