import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type AppHandler, type AppRequest, startApp } from '../support/app.ts'
import { startGateway } from '../support/gateway.ts'
import { createPageVisitor } from '../support/page-visitor.ts'
import { checkout } from './command-folder.ts'

/** The file of the page, with servers, names and secrets that are here. */
function configOf(login: string, shop: string): string {
  const page = readFileSync(join(checkout, 'docs/identity-provider.md'), 'utf8')
  const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? []
  return yaml
    .replace('http://127.0.0.1:8001', login)
    .replace('http://127.0.0.1:8002', shop)
    .replace('app.example.com', '127.0.0.1')
    .replace('cookie_secure: true', 'cookie_secure: false')
    .replace(/"\$\{file:[^}]*\}"/, 'k'.repeat(43))
}

/** What the page's program does, with a provider that believes everybody: its code is the name. */
const loginApp: AppHandler = (request: AppRequest) => {
  const url = new URL(request.url, 'http://x')
  if (url.pathname === '/login') {
    const pending = { state: crypto.randomUUID(), next: url.searchParams.get('next') ?? '/' }
    const to = `https://provider.example/authorize?state=${pending.state}`
    return { status: 303, headers: ['X-Session-Set', JSON.stringify({ oidc: pending }), 'Location', to] }
  }
  const pending = request.claims().ses.oidc as { state: string; next: string } | undefined
  if (pending === undefined || pending.state !== url.searchParams.get('state'))
    return { status: 400, body: 'not yours' }
  const userInfo = { sub: url.searchParams.get('code'), name: 'Zoe' }
  return {
    status: 303,
    headers: ['X-Session-Set', JSON.stringify({ userInfo }), 'X-Session-Delete', 'oidc', 'Location', pending.next],
  }
}

test('a login by a provider: the state is in the session, the way back leads to the page, the key is a new one', async () => {
  await using login = await startApp(loginApp)
  await using shop = await startApp((request) => ({ body: JSON.stringify(request.claims().ses) }))
  await using gateway = await startGateway({ config: configOf(login.origin, shop.origin) })
  const visitor = await createPageVisitor(gateway.url)
  assert.equal((await visitor.open('/cart?a=b')).location, '/login?next=%2Fcart%3Fa%3Db')
  const toProvider = await visitor.open('/login?next=%2Fcart%3Fa%3Db')
  const state = new URL(toProvider.location ?? '').searchParams.get('state')
  const halfWay = await visitor.cookie('sessionid')
  assert.equal((await visitor.open('/cart')).status, 302, 'half-way is not logged in')

  const stranger = await createPageVisitor(gateway.url)
  assert.equal((await stranger.open(`/oidc/callback?code=7&state=${state}`)).status, 400)

  const back = await visitor.open(`/oidc/callback?code=7&state=${state}`)
  assert.deepEqual([back.status, back.location], [303, '/cart?a=b'])
  assert.notEqual(await visitor.cookie('sessionid'), halfWay)
  assert.deepEqual(JSON.parse((await visitor.open('/cart?a=b')).html), { userInfo: { sub: '7', name: 'Zoe' } })
  const late = await createPageVisitor(gateway.url, [`sessionid=${halfWay}`])
  assert.equal((await late.open('/cart')).status, 302)
})
