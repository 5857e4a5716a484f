import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { proxyV2 } from '../support/proxy-header.ts'
import { connectRaw } from '../support/raw-client.ts'

const app = `upstreams: { app: { servers: ["http://127.0.0.1:1"] } }
routes: [{ id: app, match: { host: app.test, path: /* }, upstream: app }]
`

const get = (...lines: string[]): string =>
  ['GET /a?b=c HTTP/1.1', 'Host: app.test', 'Connection: close', ...lines, '\r\n'].join('\r\n')

async function answerTo(gateway: TestGateway, bytes: string | Buffer) {
  await using client = await connectRaw(gateway.port)
  await client.send(bytes)
  const { status, values, body } = await client.response()
  return { status, location: values('Location')[0], proxyStatus: values('Proxy-Status')[0], body: body.toString() }
}

/** A visitor from 203.0.113.5; `tls` is what the balancer says of it. */
function proxyHeader(tls: readonly number[]): Buffer {
  return proxyV2(0x21, 0x11, [203, 0, 113, 5, 10, 0, 0, 2, 0x30, 0x39, 0x01, 0xbb, ...tls])
}

const byHttps = [0x20, 0, 5, 1, 0, 0, 0, 0]

test('who came by https to a balancer that ends TLS is not sent round in a circle', async () => {
  await using gateway = await startGateway({
    config: `trusted_proxies: [127.0.0.1]
listen:
  - { address: "127.0.0.1:0", proxy_protocol: true, redirect_to_https: true }
  - { address: "127.0.0.1:0" }
${app}`,
  })
  const warned = await gateway.logged('the warning', ({ msg }) => msg === 'configuration warning')
  assert.match(String(warned.warning), /finds no listener but this one/)

  const plain = await answerTo(gateway, Buffer.concat([proxyHeader([]), Buffer.from(get())]))
  assert.deepEqual([plain.status, plain.location], [308, 'https://app.test/a?b=c'])
  const secure = await answerTo(gateway, Buffer.concat([proxyHeader(byHttps), Buffer.from(get('Accept: text/css'))]))
  assert.deepEqual([secure.status, secure.location], [500, undefined])
  assert.match(secure.body, /"code":"ERR_REDIRECT_LOOP"/)
  assert.equal(secure.proxyStatus, 'sessiongate; error=proxy_configuration_error')
  const forged = Buffer.concat([proxyHeader([]), Buffer.from(get('X-Forwarded-Proto: https'))])
  assert.equal((await answerTo(gateway, forged)).status, 308, 'the visitor’s own word is nobody’s')
})

test('a proxy that says https in X-Forwarded-Proto gets the same, and only one that is trusted', async () => {
  for (const [trusted, status] of [
    ['127.0.0.1', 500],
    ['10.0.0.1', 308],
  ] as const) {
    await using gateway = await startGateway({
      config: `trusted_proxies: [${trusted}]
listen: [{ address: "127.0.0.1:0", redirect_to_https: true }, { address: "127.0.0.1:0" }]
${app}`,
    })
    assert.equal((await answerTo(gateway, get('X-Forwarded-Proto: https'))).status, status)
    assert.equal((await answerTo(gateway, get('X-Forwarded-Proto: http'))).status, 308)
  }
})
