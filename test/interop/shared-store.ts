import assert from 'node:assert/strict'
import { loadConfig } from '../../src/config/loading.ts'
import { parseSessionData, type SessionData } from '../../src/django/json.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { openSessionParts, type SessionParts } from '../../src/session-parts.ts'
import { type DjangoProject, type DjangoSettings, SECRET_KEY } from './django-project.ts'
import { gatewayCacheYaml } from './shared-caches.ts'

/** What both sides must agree upon: as the project was started, and what only the gateway needs to be told. */
export interface StoreSettings
  extends Pick<DjangoSettings, 'engine' | 'secretKey' | 'fallbacks' | 'useTz' | 'postgres' | 'cache'> {
  /** One more line under `session`. */
  readonly more?: string
}

/** The `session`, `database` and `caches` of a configuration that shares the project's store. */
export function sharedStoreYaml(
  { folder, database }: Pick<DjangoProject, 'folder' | 'database'>,
  settings: StoreSettings,
): string {
  const { engine, secretKey = SECRET_KEY, fallbacks = [], useTz = true, postgres, cache, more = '' } = settings
  return `
session:
  engine: ${engine}
  file_path: ${folder}
  secret_key: ${yamlText(secretKey)}
  secret_key_fallbacks: [${fallbacks.map(yamlText).join(', ')}]
  store_timeout: 20s
  ${more}
database: { url: "${postgres ?? `sqlite:${database}`}", use_tz: ${useTz} }
${cache === undefined ? '' : `caches: { default: ${gatewayCacheYaml(cache)} }`}
keys: [{ id: test, secret: "0123456789abcdef0123456789abcdef" }]
`
}

/** Django's own keys are full of signs that mean something in YAML, and of `$`, which begins a substitution. */
function yamlText(text: string): string {
  return JSON.stringify(text).replaceAll('$', '$$$$')
}

/** The gateway's side of that store, as `serve` opens it: from a configuration. Dispose of its engine. */
export async function openGatewaySide(
  django: Pick<DjangoProject, 'folder' | 'database'>,
  settings: StoreSettings,
  clock: Clock,
): Promise<SessionParts> {
  const yaml = `version: 1
${sharedStoreYaml(django, settings)}
upstreams: { app: { servers: ["http://127.0.0.1:1"] } }
routes: [{ id: app, match: { path: /* }, upstream: app }]
`
  const { config } = await loadConfig({
    path: 'sessiongate.yaml',
    env: {},
    readFile: async () => Buffer.from(yaml),
    workingDirectory: django.folder,
  })
  return await openSessionParts(config, { clock })
}

/** The data of a JSON text that is known to be a session's. */
export function sessionOf(json: string): SessionData {
  const data = parseSessionData(json)
  assert.ok(data, `not a session: ${json.slice(0, 200)}`)
  return data
}

/** Collects what differs, so that a thousand comparisons end in one line that says how many failed, and how the first ones. */
export class Differences {
  compared = 0
  readonly #found: { what: string; at: number; actual: unknown; expected: unknown }[] = []

  compare(what: string, actual: unknown, expected: unknown): void {
    this.compared++
    if (Object.is(actual, expected)) return
    const start = typeof actual === 'string' && typeof expected === 'string' ? commonStart(actual, expected) : 0
    this.#found.push({ what, at: start, actual: excerpt(actual, start), expected: excerpt(expected, start) })
  }

  assertNone(): void {
    const first = JSON.stringify(this.#found.slice(0, 3), null, 2)
    assert.equal(this.#found.length, 0, `${this.#found.length} of ${this.compared} differ: ${first}`)
  }
}

function commonStart(a: string, b: string): number {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  return at
}

/** Sessions are long: what stands around the first difference is enough. */
function excerpt(value: unknown, at: number): unknown {
  return typeof value === 'string' ? value.slice(Math.max(0, at - 60), at + 100) : value
}
