import { type EngineInUse, enginesInUse } from '../engines-in-use.ts'
import type { Path } from '../path.ts'
import { suggestion } from '../suggestion.ts'
import type { CheckContext } from './context.ts'

/** Names that point at something: upstreams, caches; and names that must be one of a kind: route and key ids. */
export function checkReferences(context: CheckContext): void {
  const { file } = context
  if (file.routes.length === 0 && !context.isUnsure(['routes'])) {
    context.error(['routes'], {
      message: 'there is no route',
      hint: 'add one: - { id: app, match: { path: /* }, upstream: … }',
    })
  }
  if (Object.keys(file.upstreams).length === 0 && !context.isUnsure(['upstreams'])) {
    context.error(['upstreams'], {
      message: 'there is no upstream',
      hint: 'add one: app: { servers: [http://127.0.0.1:8000] }',
    })
  }
  checkUpstreamNames(context)
  for (const engine of enginesInUse(file)) checkCacheAlias(context, engine)
  checkUnique(
    context,
    'route',
    file.routes.map(({ id }, at) => ({ id, path: ['routes', at, 'id'] })),
  )
  checkUnique(
    context,
    'key',
    (file.keys ?? []).map(({ id }, at) => ({ id, path: ['keys', at, 'id'] })),
  )
}

function checkUpstreamNames(context: CheckContext): void {
  const { routes, upstreams } = context.file
  // An upstream that was refused as a whole is not unknown for that.
  if (context.isUnsure(['upstreams']) && Object.keys(upstreams).length === 0) return
  for (const [at, { upstream }] of routes.entries()) {
    const path = ['routes', at, 'upstream']
    if (Object.hasOwn(upstreams, upstream) || context.isUnsure(path) || context.isUnsure(['upstreams', upstream]))
      continue
    const near = suggestion(upstream, Object.keys(upstreams))
    context.error(path, {
      message: `there is no upstream ${context.quote(path, upstream)}`,
      hint: near === undefined ? 'add it under upstreams' : `did you mean ${near}?`,
    })
  }
  const used = new Set(routes.map((route) => route.upstream))
  const areAllSure = routes.every((_, at) => !context.isUnsure(['routes', at, 'upstream']))
  for (const name of Object.keys(upstreams)) {
    if (used.has(name) || !areAllSure) continue
    context.warn(['upstreams', name], {
      message: `no route leads to the upstream ${name}`,
      hint: 'remove it, or add a route',
      atKey: true,
    })
  }
}

function checkCacheAlias(context: CheckContext, { name, path, cache }: EngineInUse): void {
  if (cache === undefined || cache.value !== undefined) return
  const { alias } = cache
  const named = [...path, 'cache_alias']
  if (context.isUnsure(named) || context.isUnsure(cache.path)) return
  const near = suggestion(alias, Object.keys(context.file.caches))
  context.error(context.isWritten(named) ? named : [...path, 'engine'], {
    message: `the engine ${name} needs caches.${alias}, which is not there`,
    hint:
      near === undefined
        ? `add it: caches: { ${alias}: { backend: redis, url: "redis://127.0.0.1:6379/1" } }`
        : `did you mean ${near}?`,
  })
}

function checkUnique(context: CheckContext, kind: string, entries: readonly { id: string; path: Path }[]): void {
  const seen = new Set<string>()
  for (const { id, path } of entries) {
    if (context.isUnsure(path)) continue
    if (seen.has(id)) {
      context.error(path, {
        message: `two of the ${kind}s have the id ${context.quote(path, id)}`,
        hint: 'give each its own: logs and metrics tell them apart by it',
      })
    }
    seen.add(id)
  }
}
