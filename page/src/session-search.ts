import type { SessionList } from '../../src/admin/views.ts'
import type { Api } from './api.ts'
import { counted, typedValue } from './wording.ts'

/** What sessions are looked for, as the address has it. */
export type Search =
  | { readonly by: 'all' }
  | { readonly by: 'user'; readonly user: string }
  | { readonly by: 'value'; readonly key: string; readonly value: string }

/** Pages of a thousand that are counted before sessions are ended. */
const MAX_PAGES = 10
const PAGE = 1000

/** Undefined: nothing is looked for yet. */
export function searchOf({ by, user, key, value }: Readonly<Record<string, string>>): Search | undefined {
  if (by === 'all') return { by }
  if (user !== undefined) return { by: 'user', user }
  if (key !== undefined && value !== undefined) return { by: 'value', key, value }
  return undefined
}

/** The address of a page of what is looked for. */
export function pathOf(search: Search, limit: number): string {
  const query = new URLSearchParams({ limit: String(limit) })
  if (search.by === 'user') query.set('user', search.user)
  if (search.by === 'value') {
    query.set('key', search.key)
    query.set('value', JSON.stringify(typedValue(search.value)))
  }
  return `/api/sessions?${query}`
}

/** What the gateway is to be told to end; undefined: nobody ends all there are. */
export function revocationOf(search: Search): Readonly<Record<string, unknown>> | undefined {
  if (search.by === 'user') return { user: search.user }
  return search.by === 'value' ? { key: search.key, value: typedValue(search.value) } : undefined
}

export function wordsFor(search: Search): string {
  if (search.by === 'user') return `of user ${search.user}`
  return search.by === 'all' ? 'there are' : `in which ${search.key} is ${JSON.stringify(typedValue(search.value))}`
}

/** `3 sessions`, or `10,000 sessions or more`: what an operator is told before he ends them. */
export async function countOf(api: Api, search: Search): Promise<string> {
  let count = 0
  let path = pathOf(search, PAGE)
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { sessions, next } = await api.get<SessionList>(path)
    count += sessions.length
    if (next === null) return counted(count, 'session')
    path = `/api/sessions?${new URLSearchParams({ cursor: next, limit: String(PAGE) })}`
  }
  return `${counted(count, 'session')} or more`
}
