import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml'
import type { Finding, Range } from './finding.ts'
import { type Path, pathKey } from './path.ts'
import { isPureReference, isSensitiveKey } from './sensitivity.ts'
import { isList, isMapping, type Tree } from './tree.ts'

/** The largest file that is read, in bytes of UTF-8. */
export const MAX_FILE_BYTES = 1024 * 1024

const MAX_ALIASES = 100
const MAX_DEPTH = 32
const MAX_VALUES = 100_000
const MAX_SYNTAX_FINDINGS = 20

/** A file's text, the values in it, and where each of them stands. */
export interface Source {
  /** As messages name the file. */
  readonly file: string
  readonly text: string
  /** False when the text is no YAML: then `tree` is not worth a look. */
  readonly isWellFormed: boolean
  readonly tree: Tree
  /** What YAML itself has to say: syntax, duplicate keys, tags, merge keys, aliases. */
  readonly findings: readonly Finding[]
  /** Where literal secrets stand, so that no excerpt shows them. */
  readonly secrets: readonly Range[]
  /** The range of the value at `path`, or of its key; of the nearest value above it where the file has none. */
  rangeOf(path: Path, atKey: boolean): Range
  /** Line and column, both from 1. */
  positionOf(offset: number): { readonly line: number; readonly column: number }
}

interface Place {
  readonly key: Range | undefined
  readonly value: Range
}

/**
 * Reads YAML 1.2 with the core schema, and nothing that lets a file mean more than it says: no tags, no merge keys, no
 * second document, no `%YAML 1.1`, a cap on aliases. Never throws; what is wrong stands in `findings`.
 */
export function readSource(text: string, file: string): Source {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    merge: false,
    resolveKnownTags: false,
    stringKeys: true,
    // Its own check compares every key with every other; ours, in the walk below, does not.
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'error',
    lineCounter: lines,
  })
  const syntax = syntaxFindings(document, text)
  const walk = new Walk(text, aliasTargets(document))
  const tree = syntax.length === 0 && document.contents ? walk.read(document.contents, [], undefined) : null
  return {
    file,
    text,
    isWellFormed: syntax.length === 0,
    tree,
    findings: syntax.length === 0 ? walk.findings : syntax,
    secrets: walk.secrets,
    rangeOf: (path, atKey) => rangeOf(walk.places, path, atKey),
    positionOf(offset) {
      const { line, col } = lines.linePos(offset)
      return { line: Math.max(line, 1), column: Math.max(col, 1) }
    },
  }
}

function syntaxFindings(document: Document.Parsed, text: string): Finding[] {
  const bare = document.errors.find(({ pos: [at] }) => text.startsWith('${', at - 1))
  if (bare !== undefined) {
    const message = 'a reference without quotes, and YAML takes its { for a mapping'
    const hint = `inside of { } and [ ] put it in quotes: "\${NAME}"`
    // All other complaints come from reading on after this one.
    return [{ severity: 'error', path: [], range: [bare.pos[0] - 1, bare.pos[0] + 1], message, hint }]
  }
  const findings: Finding[] = document.errors.slice(0, MAX_SYNTAX_FINDINGS).map((error) => ({
    severity: 'error',
    path: [],
    range: error.pos,
    ...syntaxMessage(error.code, error.message),
  }))
  if (document.directives.yaml.explicit && document.directives.yaml.version !== '1.2') {
    const message = 'a %YAML directive for another version than 1.2'
    findings.push({ severity: 'error', path: [], range: [0, 1], message, hint: 'remove the directive' })
  }
  return findings
}

function syntaxMessage(code: string, message: string): { message: string; hint?: string } {
  switch (code) {
    case 'RESOURCE_EXHAUSTION':
      return { message: 'nested too deeply to be read', hint: 'a configuration needs fewer than ten levels' }
    case 'MULTIPLE_DOCS':
      return { message: 'a second document begins here', hint: 'remove the line ---: one file holds one document' }
    case 'TAB_AS_INDENT':
      return { message: 'a tab in the indentation', hint: 'YAML is indented with spaces only' }
    case 'NON_STRING_KEY':
      return { message: 'a key that is not plain text', hint: 'write the key as a word, or in quotes' }
    default: {
      // What follows a colon is a piece of the file, perhaps a secret.
      const sentence = message.split(': ')[0] ?? message
      return { message: `not well-formed YAML: ${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}` }
    }
  }
}

/** The node that each alias stands for: the last one before it with that anchor, whatever the anchor means later. */
function aliasTargets(document: Document.Parsed): Map<Node, Node> {
  const anchors = new Map<string, Node>()
  const targets = new Map<Node, Node>()
  visit(document, {
    Alias(_, alias) {
      const target = anchors.get(alias.source)
      if (target) targets.set(alias, target)
    },
    Value(_, node) {
      if (node.anchor) anchors.set(node.anchor, node)
    },
  })
  return targets
}

function rangeOf(places: ReadonlyMap<string, Place>, path: Path, atKey: boolean): Range {
  const place = places.get(pathKey(path))
  if (place) return atKey ? (place.key ?? place.value) : place.value
  // The file does not have it: point at the key of what should hold it, or at the value where it has no key.
  return path.length > 1 ? rangeOf(places, path.slice(0, -1), true) : [0, 1]
}

/** One pass over the nodes, from the top down. */
class Walk {
  readonly places = new Map<string, Place>()
  readonly findings: Finding[] = []
  readonly secrets: Range[] = []
  readonly #text: string
  readonly #targets: ReadonlyMap<Node, Node>
  readonly #open = new Set<Node>()
  #aliases = 0
  #values = 0

  constructor(text: string, targets: ReadonlyMap<Node, Node>) {
    this.#text = text
    this.#targets = targets
  }

  read(node: Node, path: Path, key: Range | undefined): Tree {
    this.#values += 1
    if (this.#values > MAX_VALUES) {
      if (this.#values === MAX_VALUES + 1) this.#refuse(path, `more than ${MAX_VALUES} values in one file`)
      return null
    }
    this.places.set(pathKey(path), { key, value: rangeOfNode(node) })
    if (path.length > MAX_DEPTH) {
      this.#refuse(path, 'nested too deeply', 'a configuration needs fewer than ten levels')
      return null
    }
    if (isAlias(node)) return this.#readAlias(node, path, key)
    this.#checkTag(node, path)
    if (isScalar(node)) return this.#readScalar(node.value, path, rangeOfNode(node))
    this.#open.add(node)
    const tree = isMap(node)
      ? this.#readMapping(node.items, path)
      : isSeq(node)
        ? this.#readList(node.items, path)
        : null
    this.#open.delete(node)
    return tree
  }

  #readAlias(alias: Node, path: Path, key: Range | undefined): Tree {
    const target = this.#targets.get(alias)
    this.#aliases += 1
    if (target === undefined) {
      this.#refuse(path, 'an alias without an anchor before it', 'define &name above the *name, or write the value out')
    } else if (this.#open.has(target)) {
      this.#refuse(path, 'an alias inside of what it stands for', 'write the value out')
    } else if (this.#aliases > MAX_ALIASES) {
      if (this.#aliases === MAX_ALIASES + 1)
        this.#refuse(path, `more than ${MAX_ALIASES} aliases`, 'write the values out')
    } else {
      const place = this.places.get(pathKey(path))
      const tree = this.read(target, path, key)
      // The value is named by its alias; what lies inside it, by its own text.
      if (place) this.places.set(pathKey(path), place)
      return tree
    }
    return null
  }

  #readScalar(value: unknown, path: Path, range: Range): Tree {
    const isSecret = path.some((step) => typeof step === 'string' && isSensitiveKey(step))
    const text = this.#text.slice(...range)
    if (isSecret && !isPureReference(text)) this.secrets.push(range)
    // A password may hold blanks and quotes, which to whoever has only the line end the URL.
    const [start, end] = [text.indexOf('://') + 3, text.lastIndexOf('@')]
    if (text.includes('://') && end > start) this.secrets.push([range[0] + start, range[0] + end])
    if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number')
      return value
    return String(value)
  }

  #readList(items: readonly unknown[], path: Path): Tree {
    return items.map((item, at) => (isYamlNode(item) ? this.read(item, [...path, at], undefined) : null))
  }

  #readMapping(items: readonly { key: unknown; value: unknown }[], path: Path): Tree {
    const mapping: Record<string, Tree> = Object.create(null)
    for (const { key, value } of items) {
      if (!isScalar(key) || typeof key.value !== 'string') continue
      const range = rangeOfNode(key)
      const below = [...path, key.value]
      const refusal = keyRefusal(key.value, Object.hasOwn(mapping, key.value))
      if (refusal) {
        this.findings.push({ severity: 'error', path: below, range, ...refusal })
        if (isYamlNode(value)) this.secrets.push(rangeOfNode(value))
      } else if (isYamlNode(value)) mapping[key.value] = this.read(value, below, range)
      else {
        this.places.set(pathKey(below), { key: range, value: range })
        mapping[key.value] = null
      }
    }
    return mapping
  }

  #checkTag(node: Node, path: Path): void {
    const tag = isScalar(node) || isMap(node) || isSeq(node) ? node.tag : undefined
    if (tag === undefined || /^(!|tag:yaml\.org,2002:(str|int|float|bool|null|map|seq))$/.test(tag)) return
    this.#refuse(path, 'a YAML tag, which this file may not carry', 'remove the word that begins with !')
  }

  #refuse(path: Path, message: string, hint?: string): void {
    this.findings.push({ severity: 'error', path, message, ...(hint === undefined ? {} : { hint }) })
  }
}

function keyRefusal(key: string, isDuplicate: boolean): { message: string; hint: string } | undefined {
  if (isDuplicate) return { message: `the key "${key}" is written twice`, hint: 'remove one of the two' }
  if (key === '<<') return { message: 'a merge key', hint: 'write the keys out, or use an alias for a whole mapping' }
  if (key === '__proto__') return { message: 'unknown key "__proto__"', hint: 'remove it' }
  return undefined
}

function isYamlNode(value: unknown): value is Node {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value)
}

function rangeOfNode(node: Node): Range {
  const [start, end] = node.range ?? [0, 1]
  return [start, Math.max(end, start + 1)]
}

/** A copy without the `x-…` keys. Header names are data, so theirs stay: `x-user-name` is a header like any other. */
export function withoutExtensions(tree: Tree, path: Path = []): Tree {
  if (isList(tree)) return tree.map((item, at) => withoutExtensions(item, [...path, at]))
  if (!isMapping(tree)) return tree
  const mapping: Record<string, Tree> = Object.create(null)
  const holdsHeaders = path[0] === 'routes' && path[2] === 'headers' && path.length === 4
  for (const [key, value] of Object.entries(tree)) {
    if (holdsHeaders || !key.startsWith('x-')) mapping[key] = withoutExtensions(value, [...path, key])
  }
  return mapping
}
