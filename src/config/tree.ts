import type { Path } from './path.ts'

/** A YAML value without its text. Mappings have no prototype, so that no key of theirs means anything to JavaScript. */
export type Tree = null | boolean | number | string | readonly Tree[] | TreeMapping

export interface TreeMapping {
  readonly [key: string]: Tree
}

/** True for a mapping: neither a list nor a scalar. */
export function isMapping(tree: Tree | undefined): tree is TreeMapping {
  return typeof tree === 'object' && tree !== null && !isList(tree)
}

/** True for a list. `Array.isArray` alone does not narrow a readonly array. */
export function isList(tree: Tree | undefined): tree is readonly Tree[] {
  return Array.isArray(tree)
}

/** The value at `path`; `undefined` where the file has none. */
export function treeAt(tree: Tree, path: Path): Tree | undefined {
  let here: Tree | undefined = tree
  for (const step of path) {
    if (isList(here) && typeof step === 'number') here = here[step]
    else if (isMapping(here) && typeof step === 'string') here = Object.hasOwn(here, step) ? here[step] : undefined
    else return undefined
  }
  return here
}

/** What {@link mapTree} may do with a value: replace it, or `undefined` to go on into it. */
export type Visitor = (
  tree: Tree,
  path: Path,
) => { readonly keep: false } | { readonly keep: true; readonly tree: Tree } | undefined

/** A copy in which `visit` has replaced or left out what it wanted; asked from the top down, once for each value. */
export function mapTree(tree: Tree, visit: Visitor, path: Path = []): Tree | undefined {
  const verdict = visit(tree, path)
  if (verdict !== undefined) return verdict.keep ? verdict.tree : undefined
  if (isList(tree)) {
    return tree.flatMap((item, at) => {
      const copy = mapTree(item, visit, [...path, at])
      return copy === undefined ? [] : [copy]
    })
  }
  if (!isMapping(tree)) return tree
  const mapping: Record<string, Tree> = Object.create(null)
  for (const [key, value] of Object.entries(tree)) {
    const copy = mapTree(value, visit, [...path, key])
    if (copy !== undefined) mapping[key] = copy
  }
  return mapping
}
