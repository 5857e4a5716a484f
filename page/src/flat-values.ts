export interface FlatValue {
  /** Such as `upstreams.app.servers[0]`. */
  readonly path: string
  /** JSON. */
  readonly text: string
}

/** A tree as a list that can be searched: every leaf, and every empty branch, with the way to it. */
export function flatValues(value: unknown, path = ''): FlatValue[] {
  if (typeof value !== 'object' || value === null) return [{ path, text: JSON.stringify(value) ?? 'undefined' }]
  const entries = Object.entries(value)
  if (entries.length === 0) return [{ path, text: Array.isArray(value) ? '[]' : '{}' }]
  return entries.flatMap(([name, below]) => flatValues(below, stepTo(path, name, Array.isArray(value))))
}

function stepTo(path: string, name: string, isItem: boolean): string {
  if (isItem) return `${path}[${name}]`
  return path === '' ? name : `${path}.${name}`
}
