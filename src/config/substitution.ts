import type { Finding } from './finding.ts'
import { type Path, pathKey, pathText } from './path.ts'
import { isSensitivePath } from './sensitivity.ts'
import { isList, isMapping, mapTree, type Tree } from './tree.ts'

/** What `${…}` may refer to. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The text of a file, as UTF-8. Rejects when it cannot be read. */
  readonly readFile: (path: string) => Promise<string>
}

export interface Substituted {
  readonly tree: Tree
  readonly findings: readonly Finding[]
  /** Values that came from outside, by {@link pathKey}: they are not shown in any message. */
  readonly outside: ReadonlySet<string>
  /** Values that could not be had. */
  readonly broken: readonly Path[]
}

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string; readonly fallback: string | undefined }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'malformed'; readonly text: string }

const TOKEN = /\$\$|\$\{([^}]*)\}|\$\{/g
const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s

/**
 * Replaces `${NAME}`, `${NAME:-default}`, `${file:/run/secrets/x}` and `$$` in values, never in keys. It runs after
 * parsing and looks at each value once: what comes in is a value, and can neither add a key nor refer to something else.
 */
export async function substitute(tree: Tree, surroundings: Surroundings): Promise<Substituted> {
  const findings: Finding[] = []
  const outside = new Set<string>()
  const broken: Path[] = []
  const values = new Map<string, string>()
  for (const { path, text } of textsOf(tree, [])) {
    if (!text.includes('$')) continue
    const parts = partsOf(text)
    if (parts.some((part) => part.kind !== 'text')) outside.add(pathKey(path))
    const resolved = await Promise.all(parts.map((part) => resolvePart(part, path, surroundings)))
    const failures = resolved.filter((value) => typeof value !== 'string')
    findings.push(...failures)
    if (failures.length > 0) broken.push(path)
    values.set(pathKey(path), resolved.filter((value) => typeof value === 'string').join(''))
  }
  const copy = mapTree(tree, (value, path) => {
    const text = typeof value === 'string' ? values.get(pathKey(path)) : undefined
    return text === undefined ? undefined : { keep: true, tree: text }
  })
  return { tree: copy ?? null, findings, outside, broken }
}

function textsOf(tree: Tree, path: Path): { path: Path; text: string }[] {
  if (typeof tree === 'string') return [{ path, text: tree }]
  if (isList(tree)) return tree.flatMap((item, at) => textsOf(item, [...path, at]))
  if (isMapping(tree)) return Object.entries(tree).flatMap(([key, value]) => textsOf(value, [...path, key]))
  return []
}

function partsOf(text: string): Part[] {
  const parts: Part[] = []
  let from = 0
  for (const match of text.matchAll(TOKEN)) {
    parts.push({ kind: 'text', text: text.slice(from, match.index) })
    parts.push(match[0] === '$$' ? { kind: 'text', text: '$' } : reference(match[1]))
    from = match.index + match[0].length
  }
  parts.push({ kind: 'text', text: text.slice(from) })
  return parts.filter((part) => part.kind !== 'text' || part.text !== '')
}

function reference(inside: string | undefined): Part {
  if (inside?.startsWith('file:') && inside.length > 'file:'.length) {
    return { kind: 'file', path: inside.slice('file:'.length) }
  }
  const match = VARIABLE.exec(inside ?? '')
  if (match?.[1] === undefined) return { kind: 'malformed', text: inside ?? '' }
  return { kind: 'variable', name: match[1], fallback: match[2] }
}

async function resolvePart(part: Part, path: Path, { env, readFile }: Surroundings): Promise<string | Finding> {
  const fail = (message: string, hint: string): Finding => ({
    severity: 'error',
    path,
    message: `${pathText(path)}: ${message}`,
    hint,
  })
  switch (part.kind) {
    case 'text':
      return part.text
    case 'malformed':
      return fail(
        'a ${ that begins no reference',
        `write \${NAME}, \${NAME:-default} or \${file:/path}; a dollar sign itself is $$`,
      )
    case 'variable': {
      const value = Object.hasOwn(env, part.name) ? env[part.name] : undefined
      // As in a shell: `:-` also stands in for a variable that is set to nothing.
      if (part.fallback !== undefined) return value === undefined || value === '' ? part.fallback : value
      if (value !== undefined) return value
      const other = isSensitivePath(path) ? `\${file:/run/secrets/…}` : `\${${part.name}:-default}`
      return fail(`the environment variable ${part.name} is not set`, `set it, or write ${other}`)
    }
    case 'file':
      try {
        // One final newline belongs to the file, not to the value: every editor writes it.
        return (await readFile(part.path)).replace(/\n$/, '')
      } catch (error) {
        return fail(`the file ${part.path} cannot be read (${reasonOf(error)})`, 'create it, or correct its path')
      }
  }
}

/** The system's word for it (`ENOENT`), never a message: that of a decoder may quote the bytes. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'unreadable'
}
