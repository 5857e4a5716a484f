import { hasHeader, headerKey, headerValues, type RawHeaders } from './headers.ts'

/**
 * The lines with `field` in Vary, as Django's `patch_vary_headers`: case-insensitive, order kept, and a Vary that holds
 * `*` becomes exactly `*`. Several Vary lines become one, in the place of the first.
 */
export function withVary(raw: RawHeaders, field: string): string[] {
  if (!hasHeader(raw, 'vary')) return [...raw, 'Vary', field]
  const fields = headerValues(raw, 'vary')
    .flatMap((line) => line.split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '')
  if (fields.includes('*')) return withOneLine(raw, 'Vary', '*')
  const isThere = fields.some((name) => name.toLowerCase() === field.toLowerCase())
  return withOneLine(raw, 'Vary', (isThere ? fields : [...fields, field]).join(', '))
}

/**
 * The lines of an answer that belongs to one session: `private` in Cache-Control, unless `private` or `no-store` stands
 * there already, and never `public` or `s-maxage` (RFC 9111, section 5.2.2). `private="field"` restricts some fields
 * only, so the plain directive takes its place. Several lines become one, in the place of the first. A line whose
 * quotation never ends is replaced whole: each cache would find another end.
 *
 * Lines for one kind of shared cache go away, since such a cache obeys them *before* Cache-Control (RFC 9213, section
 * 2.2; nginx for X-Accel-Expires) and would keep one person's page for all.
 */
export function withPrivateCache(raw: RawHeaders): string[] {
  const shared = withoutSharedCacheHeaders(raw)
  if (!hasHeader(raw, 'cache-control')) {
    shared.push('Cache-Control', 'private')
    return shared
  }
  const directives = parseDirectives(headerValues(raw, 'cache-control').join(','))
  if (directives === undefined) return withOneLine(shared, 'Cache-Control', 'private')
  const names = directives.map((directive) => directive.toLowerCase())
  const isPrivate = names.includes('private') || names.some((name) => /^no-store\s*(?:=|$)/.test(name))
  const kept = directives.filter((_, i) => !/^(?:public|s-maxage|private(?=\s*=))\s*(?:=|$)/.test(names[i] ?? ''))
  return withOneLine(shared, 'Cache-Control', (isPrivate ? kept : [...kept, 'private']).join(', '))
}

function withoutSharedCacheHeaders(raw: RawHeaders): string[] {
  const kept: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] ?? ''
    if (!endsAsSharedCacheHeader(name) || !isSharedCacheHeader(headerKey(name))) kept.push(name, raw[i + 1] ?? '')
  }
  return kept
}

const SHORTEST_SHARED = 'edge-control'.length
const CODE_OF_L = 0x6c
const CODE_OF_S = 0x73

/** Tells by the length and the last letter (`…-Control`, `X-Accel-Expires`) that nearly every line goes on. */
function endsAsSharedCacheHeader(name: string): boolean {
  if (name.length < SHORTEST_SHARED) return false
  const last = name.charCodeAt(name.length - 1) | 0x20
  return last === CODE_OF_L || last === CODE_OF_S
}

/**
 * Surrogate-Control (Varnish, Fastly, Akamai), Edge-Control (Akamai), CDN-Cache-Control and its per-vendor forms (RFC
 * 9213, section 3.1), X-Accel-Expires (nginx).
 */
function isSharedCacheHeader(key: string): boolean {
  if (key === 'x-accel-expires') return true
  return key.endsWith('-control') && /^(?:surrogate|edge|(?:.*-)?cdn-cache)-control$/.test(key)
}

/** The directives, split at commas outside quotation marks; undefined if a quotation does not end. */
function parseDirectives(text: string): string[] | undefined {
  const directives: string[] = []
  let start = 0
  let isQuoted = false
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]
    if (isQuoted && character === '\\') at += 1
    else if (character === '"') isQuoted = !isQuoted
    else if (character === ',' && !isQuoted) {
      directives.push(text.slice(start, at))
      start = at + 1
    }
  }
  if (isQuoted) return undefined
  directives.push(text.slice(start))
  return directives.map((directive) => directive.trim()).filter((directive) => directive !== '')
}

/** The lines with exactly one of that name: in the place of the first, or at the end. */
function withOneLine(raw: RawHeaders, name: string, value: string): string[] {
  const lines: string[] = []
  let isWritten = false
  for (let i = 0; i < raw.length; i += 2) {
    const header = raw[i] ?? ''
    if (header.toLowerCase() !== name.toLowerCase()) {
      lines.push(header, raw[i + 1] ?? '')
    } else if (!isWritten) {
      lines.push(header, value)
      isWritten = true
    }
  }
  return isWritten ? lines : [...lines, name, value]
}
