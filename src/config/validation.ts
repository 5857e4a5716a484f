import type { Finding } from './finding.ts'
import { describeIssue, flattenIssues, type Issue } from './issues.ts'
import { createKnownKeys } from './known-keys.ts'
import { isWithin, type Path, pathKey } from './path.ts'
import { type FileConfig, fileSchema } from './schema/file.ts'
import type { Substituted } from './substitution.ts'
import { isList, isMapping, mapTree, type Tree, treeAt } from './tree.ts'

/** What the schema makes of a file. */
export interface Validated {
  /**
   * The file as far as it can be understood: what the schema refused is left out, and its default stands in. Only good
   * to find more problems in, unless `findings` is empty. `undefined` if nothing can be understood.
   */
  readonly file: FileConfig | undefined
  readonly findings: readonly Finding[]
  /** Where a value of `file` stands in the file as written: what was left out of a list has moved the rest. */
  originOf(path: Path): Path
  /** True if something at, above or below the written path was refused, so that conclusions from it may be wrong. */
  isUnsure(origin: Path): boolean
}

/** Each round leaves out what the one before refused; a file that still fails after this many is given up. */
const MAX_ROUNDS = 8

/** What stands in for a required value that is missing or was refused, so that the rest around it is looked at. */
const placeholders: Readonly<Record<string, Tree>> = {
  version: 1,
  upstreams: {},
  routes: [],
  id: 'unnamed',
  match: {},
  upstream: 'unnamed',
  servers: ['http://127.0.0.1'],
}

/**
 * Checks the form of a file and goes on past the mistakes, so that all of them are told at once, and not one after each
 * repair.
 */
export function validate({ tree: written, outside, broken }: Substituted): Validated {
  const findings: Finding[] = []
  const refused: Path[] = [...broken]
  const removed = new Set(broken.map(pathKey))
  const isUnsure = (origin: Path) => refused.some((path) => isWithin(path, origin) || isWithin(origin, path))
  let tree = written
  for (let round = 0; ; round++) {
    const pruned = prune(tree, removed)
    const parsed = fileSchema.safeParse(pruned.tree)
    if (parsed.success) return { file: parsed.data, findings, originOf: pruned.originOf, isUnsure }
    if (round === MAX_ROUNDS) return { file: undefined, findings, originOf: pruned.originOf, isUnsure }
    const issues = flattenIssues(parsed.error.issues, pruned.tree).map((issue) => atOrigin(issue, pruned.originOf))
    const coerced = coerce(tree, issues, outside)
    if (coerced !== undefined) {
      tree = coerced
      continue
    }
    const known = createKnownKeys()
    // What is missing or too short because something was left out here has been told already.
    const news = issues.filter((issue) => !isUnsure(issue.path))
    findings.push(...news.map((issue) => describeIssue(issue, { tree, outside, known })))
    for (const issue of issues) {
      refused.push(issue.path)
      tree = withoutRefused(tree, issue, removed)
    }
  }
}

/** Notes what is left out from now on, or puts a placeholder where something has to be. */
function withoutRefused(tree: Tree, { kind, path }: Issue, removed: Set<string>): Tree {
  if (kind !== 'missing') {
    removed.add(pathKey(path))
    return tree
  }
  const placeholder = placeholders[String(path.at(-1))]
  if (placeholder === undefined) {
    removed.add(pathKey(path.slice(0, -1)))
    return tree
  }
  removed.delete(pathKey(path))
  return withValue(tree, path, placeholder)
}

function withValue(tree: Tree, path: Path, value: Tree): Tree {
  const [step, ...rest] = path
  if (step === undefined) return value
  if (isList(tree)) return tree.map((item, at) => (at === step ? withValue(item, rest, value) : item))
  const mapping: Record<string, Tree> = Object.assign(Object.create(null), isMapping(tree) ? tree : {})
  mapping[step] = withValue(mapping[step] ?? null, rest, value)
  return mapping
}

function atOrigin(issue: Issue, originOf: (path: Path) => Path): Issue {
  return { ...issue, path: originOf(issue.path) }
}

/**
 * A substituted value is text; where the schema wants a number or a boolean, `8080` and `true` become one. Literal text
 * in quotes does not: whoever writes "true" there has meant text. `undefined` if there is nothing to change.
 */
function coerce(tree: Tree, issues: readonly Issue[], outside: ReadonlySet<string>): Tree | undefined {
  const values = new Map<string, Tree>()
  for (const issue of issues) {
    const text = issue.kind === 'bad_value' && outside.has(pathKey(issue.path)) ? treeAt(tree, issue.path) : undefined
    if (text === 'true' || text === 'false') values.set(pathKey(issue.path), text === 'true')
    else if (typeof text === 'string' && /^-?\d{1,15}$/.test(text)) values.set(pathKey(issue.path), Number(text))
  }
  if (values.size === 0) return undefined
  return mapTree(tree, (_, path) => {
    const value = values.get(pathKey(path))
    return value === undefined ? undefined : { keep: true, tree: value }
  })
}

interface Pruned {
  readonly tree: Tree
  readonly originOf: (path: Path) => Path
}

/** The tree without what was refused. */
function prune(tree: Tree, removed: ReadonlySet<string>): Pruned {
  const isRemoved = (path: Path) => path.length > 0 && removed.has(pathKey(path))
  const kept = mapTree(tree, (_, path) => (isRemoved(path) ? { keep: false } : undefined)) ?? null
  return {
    // A file that is a list or a word was refused as a whole; an empty mapping lets the next round name what it lacks.
    tree: removed.has(pathKey([])) ? {} : kept,
    originOf(path) {
      const origin: (string | number)[] = []
      for (const step of path) origin.push(typeof step === 'number' ? originalIndex(tree, removed, origin, step) : step)
      return origin
    },
  }
}

/** The place in the written list of the item that is at `index` among those that were kept. */
function originalIndex(tree: Tree, removed: ReadonlySet<string>, list: Path, index: number): number {
  const written = treeAt(tree, list)
  const length = isList(written) ? written.length : 0
  let kept = -1
  for (let at = 0; at < length; at++) {
    if (!removed.has(pathKey([...list, at]))) kept += 1
    if (kept === index) return at
  }
  return index
}
