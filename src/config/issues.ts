import type { z } from 'zod'
import type { Finding } from './finding.ts'
import type { KnownKeys } from './known-keys.ts'
import { type Path, pathKey, pathText } from './path.ts'
import { isSensitiveKey, isSensitivePath, withoutCredentials } from './sensitivity.ts'
import { suggestion } from './suggestion.ts'
import { isList, isMapping, type Tree, treeAt } from './tree.ts'

type ZodIssue = z.core.$ZodIssue

/** One complaint of the schema: where, and what it says. Unknown keys have one each. */
export interface Issue {
  readonly kind: 'unknown_key' | 'missing' | 'bad_key' | 'bad_value'
  readonly path: Path
  /** What the value must be; the end of a sentence. */
  readonly phrase: string
  /** The permitted words, where there is a closed set. */
  readonly words: readonly string[]
  /** Text was wanted, and a number or boolean stands there. */
  readonly wantsText: boolean
}

/** What a description may draw on. */
export interface Description {
  readonly tree: Tree
  /** Values that were substituted, by `pathKey`: they are not repeated. */
  readonly outside: ReadonlySet<string>
  readonly known: KnownKeys
}

/** Zod's issues as a flat list; of a union's branches only the one that the value was meant for speaks. */
export function flattenIssues(issues: readonly ZodIssue[], tree: Tree, base: Path = []): Issue[] {
  return issues.flatMap((issue) => flattenIssue(issue, tree, base))
}

function flattenIssue(issue: ZodIssue, tree: Tree, base: Path): Issue[] {
  const path = [...base, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))]
  const value = treeAt(tree, path)
  const kind = value === undefined ? 'missing' : 'bad_value'
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        kind: 'unknown_key',
        path: [...path, key],
        phrase: issue.message,
        words: [],
        wantsText: false,
      }))
    case 'invalid_key':
      return [{ kind: 'bad_key', path, phrase: issue.issues[0]?.message ?? issue.message, words: [], wantsText: false }]
    case 'invalid_union': {
      const branch = meantBranch(issue.errors, value)
      if (branch !== undefined) return flattenIssues(branch, tree, path)
      return [{ kind, path, phrase: issue.message, words: issue.errors.flat().flatMap(wordsOf), wantsText: false }]
    }
    default:
      return [{ kind, path, phrase: issue.message, words: wordsOf(issue), wantsText: wantsText(issue, value) }]
  }
}

/** The branch that looked inside the mapping or list that stands there, and so was meant for it. */
function meantBranch(branches: readonly (readonly ZodIssue[])[], value: Tree | undefined) {
  if (!isMapping(value) && !isList(value)) return undefined
  return branches.find((branch) =>
    branch.every((issue) => issue.path.length > 0 || ['unrecognized_keys', 'too_small'].includes(issue.code ?? '')),
  )
}

function wordsOf(issue: ZodIssue): string[] {
  return issue.code === 'invalid_value' ? issue.values.map(String) : []
}

function wantsText(issue: ZodIssue, value: Tree | undefined): boolean {
  const isOther = typeof value === 'number' || typeof value === 'boolean'
  return issue.code === 'invalid_type' && issue.expected === 'string' && isOther
}

/** The issue as a person reads it. */
export function describeIssue(issue: Issue, { tree, outside, known }: Description): Finding {
  const { path, phrase } = issue
  const key = String(path.at(-1) ?? '')
  const parent = pathText(path.slice(0, -1))
  switch (issue.kind) {
    case 'unknown_key': {
      const message = `unknown key "${key}" in ${parent}`
      return { severity: 'error', path, atKey: true, message, ...unknownKeyHint(path, known) }
    }
    case 'missing':
      if (path.length === 0) return { severity: 'error', path, message: 'the file is empty', hint: emptyFileHint }
      return { severity: 'error', path, message: `${parent} has no "${key}"`, hint: `add ${key}: ${phrase}` }
    case 'bad_key':
      return { severity: 'error', path, atKey: true, message: `the key "${key}" in ${parent} must be ${phrase}` }
    case 'bad_value': {
      const value = treeAt(tree, path)
      if (path.length === 0 && value === null) {
        return { severity: 'error', path, message: 'the file is empty', hint: emptyFileHint }
      }
      const isSecret = outside.has(pathKey(path)) || isSensitivePath(path)
      const message = `${pathText(path)} must be ${phrase}${isSecret ? '' : `, not ${received(value)}`}`
      const hint = isSecret ? undefined : valueHint(value, issue)
      return { severity: 'error', path, message, ...(hint === undefined ? {} : { hint }) }
    }
  }
}

const emptyFileHint = 'the smallest useful file has version, one upstream and one route'

function received(value: Tree | undefined): string {
  if (value === null) return 'empty'
  if (isList(value)) return 'a list'
  if (isMapping(value)) return 'a mapping'
  const text = value === undefined ? 'nothing' : withoutCredentials(JSON.stringify(value))
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

function valueHint(value: Tree | undefined, { words, wantsText }: Issue): string | undefined {
  if (wantsText) return `if that is meant as text, put it in quotes: "${value}"`
  if (value === null) return 'write a value, or remove the key'
  if (typeof value !== 'string') return undefined
  const word = suggestion(value, words)
  return word === undefined ? undefined : `did you mean ${word}?`
}

function unknownKeyHint(path: Path, known: KnownKeys): Pick<Finding, 'hint' | 'hidesValue'> {
  const key = String(path.at(-1))
  const here = known.at(path.slice(0, -1))
  const near = suggestion(key, here)
  if (near !== undefined) return { hint: `did you mean ${near}?`, hidesValue: isSensitiveKey(near) }
  const home = known.homeOf(key)
  if (home !== undefined) return { hint: `${key} belongs to ${home}` }
  return { hint: here.length === 0 ? 'remove it' : `remove it; known here: ${here.join(', ')}` }
}
