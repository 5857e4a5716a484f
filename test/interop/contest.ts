import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { parseJsonValue } from '../../src/django/json.ts'
import { startApp } from '../support/app.ts'
import { startGateway } from '../support/gateway.ts'
import { type DjangoProject, type DjangoSettings, startDjango } from './django-project.ts'
import { type StoreSettings, sessionOf, sharedStoreYaml } from './shared-store.ts'

/** Changes of one session by Django, one after the other; as many again until the gateway has had its share. */
const DJANGO_CHANGES = 300

/** Changes by the gateway, at least. */
const GATEWAY_CHANGES = 40

/** Requests that are under way at the gateway at once. */
const LANES = 4

export interface Contest {
  readonly python: string
  readonly settings: DjangoSettings & StoreSettings
  /** Django holds the store while it has the session in its hands, so it overwrites nothing. */
  readonly isAtomic: boolean
  readonly prepare?: (project: DjangoProject) => void
}

/**
 * Django changes a session one time after the other, while the gateway merges one change after the other into it. Gives
 * the project, to be disposed of.
 */
export async function contend(
  { python, settings, isAtomic, prepare }: Contest,
  t: TestContext,
): Promise<DjangoProject> {
  await using stack = new AsyncDisposableStack()
  const project = stack.use(await startDjango(python, settings))
  await project.migrate()
  prepare?.(project)
  await using app = await startApp(({ url }) => ({
    headers: ['X-Session-Set', `{"g${url.slice(1)}":${url.slice(1)}}`],
  }))
  await using gateway = await startGateway({
    config: `
${sharedStoreYaml(project, { ...settings, more: `${settings.more ?? ''}\n  max_bytes: 1MiB` })}
logging: { access: false }
upstreams: { app: { servers: ["${app.origin}"], include: [], writeback: { allow: ["*"] } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`,
  })
  const key = await project.act(undefined, [['set', 'start', '1.0']])
  assert.ok(key)
  const answered: number[] = []
  let byDjango = 0
  let isDjangoDone = false
  const hammer = async (): Promise<void> => {
    do {
      const range = [byDjango, byDjango + DJANGO_CHANGES] as const
      await project.hammer(key, range, isAtomic)
      byDjango += DJANGO_CHANGES
    } while (answered.length < GATEWAY_CHANGES)
  }
  let next = 0
  let longestMs = 0
  const lane = async (): Promise<void> => {
    while (!isDjangoDone) {
      const number = next++
      const startedMs = performance.now()
      const response = await fetch(`${gateway.url}/${number}`, { headers: { Cookie: `sessionid=${key}` } })
      await response.arrayBuffer()
      assert.equal(response.status, 200)
      assert.match(response.headers.getSetCookie().join('\n'), new RegExp(`^sessionid=${key};`))
      answered.push(number)
      longestMs = Math.max(longestMs, performance.now() - startedMs)
    }
  }
  const hammering = hammer().finally(() => {
    isDjangoDone = true
  })
  await Promise.all([hammering, ...Array.from({ length: LANES }, lane)])
  const [read] = await project.read([key])
  report({ json: read?.json ?? '', byDjango, answered, isAtomic, t })
  t.diagnostic(`the longest answer took ${Math.round(longestMs)} ms`)
  stack.move()
  return project
}

function report(end: {
  json: string
  byDjango: number
  answered: readonly number[]
  isAtomic: boolean
  t: TestContext
}): void {
  const { json, byDjango, answered, isAtomic, t } = end
  const data = sessionOf(json)
  assert.equal(data.get('start'), '1.0', 'the text of a key that nobody touched')
  const djangoKeys = Array.from({ length: byDjango }, (_, i) => `d${i}`)
  const lost = djangoKeys.filter((name, i) => parseJsonValue(data.get(name) ?? 'null') !== i)
  assert.deepEqual(lost, [], 'keys that Django stored and the gateway dropped')
  const overwritten = answered.filter((number) => data.get(`g${number}`) !== String(number))
  // Django writes back the whole of what it read: a stock view undoes what came in between, ours or another view's.
  if (isAtomic) assert.deepEqual(overwritten, [], 'keys that the gateway stored')
  assert.ok(answered.length >= GATEWAY_CHANGES)
  t.diagnostic(
    `${byDjango} changes by Django, all there; ${answered.length} by the gateway, ` +
      `${overwritten.length} overwritten by Django`,
  )
}
