/**
 * Remembers what a pure function said of the texts that it was asked about lately. What strangers send decides which
 * texts those are, so there is a limit, and at the limit all is forgotten: nothing grows, and nothing is kept in order.
 *
 * @param parse `undefined` is an answer too, and is not remembered: refusals are rare, or somebody's attempt to fill this.
 */
export function memoize<T extends object>(parse: (text: string) => T, max: number): (text: string) => T
export function memoize<T extends object>(
  parse: (text: string) => T | undefined,
  max: number,
): (text: string) => T | undefined
export function memoize<T extends object>(
  parse: (text: string) => T | undefined,
  max: number,
): (text: string) => T | undefined {
  const known = new Map<string, T>()
  return function recall(text) {
    const before = known.get(text)
    if (before !== undefined) return before
    const parsed = parse(text)
    if (parsed === undefined) return undefined
    if (known.size >= max) known.clear()
    known.set(text, parsed)
    return parsed
  }
}
