/** The views, in the order in which they stand in the menu. */
export const views = [
  { name: 'overview', title: 'Overview' },
  { name: 'routes', title: 'Routes' },
  { name: 'sessions', title: 'Sessions' },
  { name: 'upstreams', title: 'Upstreams' },
  { name: 'live', title: 'Live' },
  { name: 'configuration', title: 'Configuration' },
  { name: 'keys', title: 'Keys' },
  { name: 'store', title: 'Store' },
] as const

export type ViewName = (typeof views)[number]['name']

/** What the address says after `#`: a view, what it shows of many, and what was asked there. A link has all of it. */
export interface Place {
  readonly view: ViewName
  /** Such as a session's public id. */
  readonly id: string | undefined
  readonly asked: Readonly<Record<string, string>>
}

/** What is not there leads to the first view. */
export function readPlace(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2)
  const [name, id] = path.split('/')
  const view = views.find((one) => one.name === name)
  if (view === undefined) return { view: 'overview', id: undefined, asked: {} }
  return {
    view: view.name,
    id: id === undefined || id === '' ? undefined : decoded(id),
    asked: Object.fromEntries(new URLSearchParams(query)),
  }
}

/** The address of a place; members that are undefined are left out. */
export function linkTo(
  view: ViewName,
  { id, asked = {} }: { id?: string; asked?: Readonly<Record<string, string | undefined>> } = {},
): string {
  const given = Object.entries(asked).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const query = new URLSearchParams(given).toString()
  return `#/${view}${id === undefined ? '' : `/${encodeURIComponent(id)}`}${query === '' ? '' : `?${query}`}`
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
