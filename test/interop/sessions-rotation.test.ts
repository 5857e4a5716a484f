import assert from 'node:assert/strict'
import { test } from 'node:test'
import { writeSessionData } from '../../src/django/json.ts'
import { noChanges } from '../../src/sessions/merge.ts'
import { startApp } from '../support/app.ts'
import { startGateway } from '../support/gateway.ts'
import { requireServer } from '../support/requirement.ts'
import { type DjangoEngine, type DjangoProject, startDjango } from './django-project.ts'
import { randomSources, SEED } from './random-sessions.ts'
import { Differences, openGatewaySide, sessionOf, sharedStoreYaml } from './shared-store.ts'

const COUNT = 60
/** As `django-admin startproject` makes them. */
const OLD = ['django-insecure-$(x)$', '{y}#1&^%"\\\'{@!=+*_-aqw3z5e7r9'].join('')
/** And as somebody may choose one: the bytes that sign are its UTF-8. */
const NEW = 'schlüssel 鍵 🗝 \u2028 of more than thirty-two bytes'

const django = requireServer('django')

/** SECRET_KEY is changed on one side or both, and the old one stands under SECRET_KEY_FALLBACKS, or no more. */
interface Stage extends AsyncDisposable {
  readonly engine: DjangoEngine
  readonly before: DjangoProject
  readonly rotated: DjangoProject
  readonly after: DjangoProject
  /** In Python's spelling, and not expired. */
  readonly sources: readonly string[]
}

for (const engine of ['db', 'file', 'signed_cookies'] as const) {
  test(`${engine}: SECRET_KEY_FALLBACKS carry sessions over a change of the key, in both directions`, {
    skip: django.skip,
    timeout: 180_000,
  }, async (t) => {
    await using stage = await openStage(engine)
    const differences = new Differences()
    await fromGateway(stage, differences)
    await fromDjango(stage, differences)
    differences.assertNone()
    t.diagnostic(`seed ${SEED}: ${stage.sources.length} sessions each way, ${differences.compared} comparisons`)
  })
}

async function openStage(engine: DjangoEngine): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const before = stack.use(await startDjango(django.path, { engine, secretKey: OLD }))
  await before.migrate()
  const { folder } = before
  const [rotated, after] = await Promise.all([
    startDjango(django.path, { engine, folder, secretKey: NEW, fallbacks: ['an-even-older-secret-key', OLD] }),
    startDjango(django.path, { engine, folder, secretKey: NEW }),
  ])
  stack.use(rotated)
  stack.use(after)
  const facts = await before.facts(randomSources(COUNT * 3, 2))
  const fitting = facts.filter(({ age, text }) => age > 600 && text.length < 3000).slice(0, COUNT)
  const closing = stack.move()
  const sources = fitting.map(({ json }) => json)
  return { engine, before, rotated, after, sources, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}

/** The gateway's fallbacks stand in another order than Django's, which may be. */
function openSides({ before, engine }: Stage) {
  const sideWith = (secretKey: string, fallbacks: string[] = []) =>
    openGatewaySide(before, { engine, secretKey, fallbacks }, Date.now)
  return {
    before: () => sideWith(OLD),
    rotated: () => sideWith(NEW, [OLD, 'an-even-older-secret-key']),
    after: () => sideWith(NEW),
  }
}

async function fromGateway(stage: Stage, differences: Differences): Promise<void> {
  const gateway = await openSides(stage).before()
  await using engine = gateway.engine
  const keys: string[] = []
  for (const source of stage.sources) keys.push(await engine.create(sessionOf(source)))
  for (const [i, { found, json }] of (await stage.rotated.read(keys)).entries()) {
    differences.compare(`Django with the fallback reads session ${i}`, found && json, stage.sources[i])
  }
  for (const [i, { json, stored }] of (await stage.after.read(keys)).entries()) {
    differences.compare(`Django without it does not read session ${i}`, json, '{}')
    differences.compare(`Django without it does not know the signature of session ${i}`, stored?.source, null)
  }
}

async function fromDjango(stage: Stage, differences: Differences): Promise<void> {
  const sides = openSides(stage)
  const [rotated, after] = [await sides.rotated(), await sides.after()]
  await using rotatedEngine = rotated.engine
  await using afterEngine = after.engine
  const written = await stage.before.write(stage.sources)
  const changed: string[] = []
  for (const [i, { key, json, stored }] of written.entries()) {
    const refused = await afterEngine.load(key)
    differences.compare(`without the fallback session ${i}`, refused.found ? 'found' : refused.reason, 'bad_signature')
    const loaded = await rotatedEngine.load(key)
    differences.compare(`with the fallback session ${i}`, loaded.found && writeSessionData(loaded.data), json)
    if (stage.engine !== 'signed_cookies') {
      const decoded = rotated.codec.decode(stored?.text ?? '')
      differences.compare(`the key of session ${i}`, decoded.ok && decoded.key, 'fallback-1')
    }
    const session = rotated.store.open(key)
    await session.apply({ ...noChanges, set: new Map([['rotated', 'true']]) })
    await session.save()
    changed.push(session.key ?? '')
  }
  for (const [i, { found, json }] of (await stage.after.read(changed)).entries()) {
    const expected = `${written[i]?.json.slice(0, -1)}${written[i]?.json === '{}' ? '' : ','}"rotated":true}`
    differences.compare(`a change signs anew: session ${i}`, found && json, expected)
  }
}

test('the name of a session class of its own is part of the salt', {
  skip: django.skip,
  timeout: 60_000,
}, async (t) => {
  await using project = await startDjango(django.path, { engine: 'db', storeClass: 'ShopStore' })
  await project.migrate()
  const ours = await openGatewaySide(project, { engine: 'db', more: 'salt_class: ShopStore' }, Date.now)
  await using engine = ours.engine
  const standard = await openGatewaySide(project, { engine: 'db' }, Date.now)
  await using standardEngine = standard.engine
  const sources = (await project.facts(randomSources(COUNT, 3))).filter(({ age }) => age > 600).map(({ json }) => json)
  const differences = new Differences()
  for (const [i, { key, json }] of (await project.write(sources)).entries()) {
    const [loaded, refused] = [await engine.load(key), await standardEngine.load(key)]
    differences.compare(`session ${i}`, loaded.found && writeSessionData(loaded.data), json)
    differences.compare(`session ${i} without it`, refused.found ? 'found' : refused.reason, 'bad_signature')
  }
  const keys: string[] = []
  for (const source of sources) keys.push(await engine.create(sessionOf(source)))
  for (const [i, { json }] of (await project.read(keys)).entries()) differences.compare(`ours ${i}`, json, sources[i])
  differences.assertNone()
  t.diagnostic(`seed ${SEED}: ${sources.length} sessions each way, ${differences.compared} comparisons`)
})

test('a running gateway with a fallback keeps everybody in whom Django let in before', {
  skip: django.skip,
  timeout: 60_000,
}, async () => {
  await using before = await startDjango(django.path, { engine: 'db', secretKey: OLD })
  await before.migrate()
  await using app = await startApp((request) => ({
    headers: request.url === '/cart' ? ['X-Session-Set', '{"cart":1}'] : [],
    body: JSON.stringify(request.claims().ses),
  }))
  await using gateway = await startGateway({
    config: `
${sharedStoreYaml(before, { engine: 'db', secretKey: NEW, fallbacks: [OLD] })}
upstreams: { app: { servers: ["${app.origin}"], writeback: { allow: [cart] } } }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: app, match: { path: /* }, upstream: app, auth: required }
`,
  })
  const [written] = await before.write(['{"userInfo":{"name":"Zo\\u00eb"},"n":1.0}'])
  const headers = { Cookie: `sessionid=${written?.key}`, Accept: 'application/json' }
  const seen = await fetch(`${gateway.url}/cart`, { headers })
  assert.deepEqual([seen.status, await seen.json()], [200, { userInfo: { name: 'Zoë' }, n: 1 }])

  await using after = await startDjango(django.path, { engine: 'db', secretKey: NEW, folder: before.folder })
  const [read] = await after.read([written?.key ?? ''])
  assert.deepEqual([read?.found, read?.json], [true, '{"userInfo":{"name":"Zo\\u00eb"},"n":1.0,"cart":1}'])
})
