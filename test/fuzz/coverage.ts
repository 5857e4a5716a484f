import { Session } from 'node:inspector/promises'

/** Tells whether code of `src` has run that had not run before. */
export interface Coverage extends Disposable {
  /** True if something is new in what ran since the last call of either; it stays new. */
  sees(): Promise<boolean>
  /** The same, and from now on it is known. */
  learns(): Promise<boolean>
  /** How many bytes of source have run so far. */
  readonly coveredBytes: number
  /** Forgets what has run. */
  forget(): Promise<void>
}

/**
 * V8's block coverage of this process. A look costs a millisecond, so ask once for many inputs and look closer only when
 * there is something to be found.
 */
export async function openCoverage(sourceRoot: string): Promise<Coverage> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  const covered = new Map<string, Uint8Array>()
  let coveredBytes = 0

  async function look(learn: boolean): Promise<boolean> {
    const { result } = await session.post('Profiler.takePreciseCoverage')
    let news = 0
    for (const { url, functions } of result) {
      if (!url.startsWith(sourceRoot)) continue
      for (const { ranges } of functions) {
        const [whole] = ranges
        if (whole === undefined || whole.count === 0) continue
        const { startOffset: start, endOffset: end } = whole
        const key = `${url}:${start}-${end}`
        const known = covered.get(key) ?? new Uint8Array(end - start)
        if (learn) covered.set(key, known)
        news += added(known, paint(ranges, start, end), learn)
      }
    }
    if (learn) coveredBytes += news
    return news > 0
  }

  return {
    sees: () => look(false),
    learns: () => look(true),
    get coveredBytes() {
      return coveredBytes
    },
    async forget() {
      await look(false)
      covered.clear()
      coveredBytes = 0
    },
    [Symbol.dispose]: () => session.disconnect(),
  }
}

interface CountedRange {
  readonly startOffset: number
  readonly endOffset: number
  readonly count: number
}

/** Which bytes of a function ran: inner ranges stand behind the outer ones that they correct. */
function paint(ranges: readonly CountedRange[], start: number, end: number): Uint8Array {
  const painted = new Uint8Array(end - start)
  for (const range of ranges) painted.fill(range.count > 0 ? 1 : 0, range.startOffset - start, range.endOffset - start)
  return painted
}

function added(known: Uint8Array, seen: Uint8Array, learn: boolean): number {
  let count = 0
  for (let at = 0; at < seen.length; at += 1) {
    if (seen[at] === 0 || known[at] === 1) continue
    if (learn) known[at] = 1
    count += 1
  }
  return count
}
