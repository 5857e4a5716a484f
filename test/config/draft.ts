import assert from 'node:assert/strict'
import {
  type Document,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml'
import { createRandom } from '../support/random.ts'

/** Where a mistake was put: a value, or the key of a pair. */
export type Spot = Node | Pair

/** A YAML file into which mistakes are put, at places that a seed chooses. */
export class Draft {
  readonly #document: Document
  readonly #random: () => number
  #counter = 0

  constructor(text: string, seed: number) {
    this.#document = parseDocument(text)
    this.#random = createRandom(seed).fraction
  }

  /** One of the items; undefined if there are none. */
  pick<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.#random() * items.length)]
  }

  /** A name that is nowhere else in the file. */
  freshName(): string {
    this.#counter += 1
    return `planted-${this.#counter}`
  }

  read(...path: (string | number)[]): unknown {
    return this.#document.getIn(path)
  }

  /** Sets a value, with the sections above it where they are missing, and gives its node. */
  set(path: readonly (string | number)[], value: unknown): Spot {
    const node = this.#node(value)
    this.#document.setIn([...path], node)
    return node
  }

  /** The pair whose key leads to a value. */
  keyAt(...path: string[]): Pair | undefined {
    return pairOf(this.#document.contents, ...path)
  }

  /** Puts a value at a place of a list that chance chooses, or into a new list. */
  insert(path: readonly string[], value: unknown): Node {
    const node = this.#node(value)
    const list = this.#document.getIn([...path])
    if (isSeq(list)) list.items.splice(Math.floor(this.#random() * (list.items.length + 1)), 0, node)
    else this.#document.setIn([...path], this.#document.createNode([node]))
    return node
  }

  /** Puts a value before all others of a list. */
  insertFirst(path: readonly string[], value: unknown): Node {
    const node = this.#node(value)
    const list = this.#document.getIn([...path])
    if (isSeq(list)) list.items.unshift(node)
    return node
  }

  /** Puts a copy of a route's match, with other settings, right behind it. */
  shadowRoute(settings: Readonly<Record<string, unknown>>): Pair | undefined {
    const routes = this.#document.get('routes')
    if (!isSeq(routes) || routes.items.length === 0) return undefined
    const at = Math.floor(this.#random() * routes.items.length)
    const original = routes.items[at]
    const match = isMap(original) ? original.get('match') : undefined
    const node = this.#node({ ...settings, match: isMap(match) ? match.toJSON() : {} })
    routes.items.splice(at + 1, 0, node)
    return pairOf(node, 'match')
  }

  /**
   * The closed mappings: those that know their keys. Without a few in which an unknown key rightly keeps the checks from
   * conclusions: `mach: /a` makes a route for everything, and what it hides is not the mistake.
   */
  closedMappings(): YAMLMap[] {
    const found: YAMLMap[] = []
    visit(this.#document, {
      Map: (_, node, ancestors) => {
        const keys = ancestors.filter(isPair).map(({ key }) => String(isScalar(key) ? key.value : key))
        const parent = keys.at(-1) ?? ''
        const isOpen = ['upstreams', 'caches'].includes(parent) || keys.at(-2) === 'headers'
        const hides = ['match', 'writeback', 'login', 'keys'].includes(parent)
        if (!isOpen && !hides) found.push(node)
      },
    })
    return found
  }

  /** Pairs with a single value. */
  scalarPairs(): Pair[] {
    const found: Pair[] = []
    visit(this.#document, { Pair: (_, pair) => void (isScalar(pair.value) && found.push(pair)) })
    return found
  }

  addPair(map: YAMLMap, key: string, value: unknown): Pair {
    const pair = new Pair(this.#document.createNode(key), this.#node(value))
    map.items.splice(Math.floor(this.#random() * (map.items.length + 1)), 0, pair)
    return pair
  }

  /** The text, and for each spot the line on which it stands there. */
  finish(spots: readonly Spot[]): { readonly text: string; readonly lines: readonly number[] } {
    const text = this.#document.toString({ lineWidth: 0, flowCollectionPadding: true })
    const lines = new LineCounter()
    const reread = parseDocument(text, { lineCounter: lines, uniqueKeys: false, logLevel: 'silent' })
    return {
      text,
      lines: spots.map((spot) => {
        const way = wayTo(this.#document.contents, spot)
        assert.ok(way, 'the spot is in the document')
        const node = follow(reread.contents, way)
        return lines.linePos(node?.range?.[0] ?? 0).line
      }),
    }
  }

  #node(value: unknown): Node {
    return this.#document.createNode(value, { flow: this.#random() < 0.5 })
  }
}

/** The pair of a mapping with that key. */
export function pairOf(node: unknown, ...keys: (string | number)[]): Pair | undefined {
  const [key, ...rest] = keys
  if (isSeq(node) && typeof key === 'number') return pairOf(node.items[key], ...rest)
  if (!isMap(node)) return undefined
  const pair = node.items.find((item) => isScalar(item.key) && item.key.value === key)
  return rest.length === 0 ? pair : pairOf(pair?.value, ...rest)
}

/** The value below a node, or the node itself. */
export function nodeAt(node: unknown, ...keys: (string | number)[]): Node | undefined {
  let here: unknown = node
  for (const key of keys) {
    if (isMap(here)) here = here.get(key, true)
    else if (isSeq(here)) here = here.get(Number(key), true)
  }
  return here as Node | undefined
}

/** From the top: the number of each item, with `key` at the end for a key. Keys may be doubled, so names are no way. */
type Way = readonly (number | 'key')[]

function wayTo(node: unknown, spot: Spot): Way | undefined {
  if (node === spot) return []
  const items = isMap(node) || isSeq(node) ? node.items : []
  for (const [at, item] of items.entries()) {
    if (item === spot) return isPair(item) ? [at, 'key'] : [at]
    const below = wayTo(isPair(item) ? item.value : item, spot)
    if (below !== undefined) return [at, ...below]
  }
  return undefined
}

function follow(node: unknown, [step, ...rest]: Way): Node | undefined {
  if (step === undefined) return node as Node
  const item = (isMap(node) || isSeq(node)) && step !== 'key' ? node.items[step] : undefined
  if (!isPair(item)) return follow(item, rest)
  return rest[0] === 'key' ? (item.key as Node) : follow(item.value, rest)
}
