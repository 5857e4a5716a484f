import type { Coverage } from './coverage.ts'
import type { FuzzTarget } from './fuzz-target.ts'
import { createRandom, mutate } from './mutator.ts'

/** An input that broke the promise. */
export interface Break {
  readonly input: Buffer
  readonly error: unknown
}

export interface SearchResult {
  readonly runs: number
  /** What was given, and what reached new code, each needed by none of the shorter ones. */
  readonly corpus: readonly Buffer[]
  readonly coveredBytes: number
  /** The first few. */
  readonly breaks: readonly Break[]
}

/** So many inputs go by between two looks at the coverage; where something is new, so many at a time are tried again. */
const BATCH_SIZE = 200
const PART_SIZE = 20
const MAX_BREAKS = 5

/** No input of a stranger may keep the process for as long as this; what takes a tenth of it is slow already. */
const MAX_RUN_MS = 1000

/** Whether the promise holds for an input: undefined, or what was thrown. A run without end is not noticed here. */
export async function breakOf(target: FuzzTarget, input: Buffer): Promise<Break | undefined> {
  const begin = performance.now()
  try {
    await target.check(input)
  } catch (error) {
    return { input, error }
  }
  const tookMs = performance.now() - begin
  return tookMs > MAX_RUN_MS ? { input, error: new Error(`took ${Math.round(tookMs)} ms`) } : undefined
}

/** Looks for inputs that break a target's promise, from those that are known to those that reach new code. */
export async function search(
  target: FuzzTarget,
  { known, coverage, forMs, seed }: { known: readonly Buffer[]; coverage: Coverage; forMs: number; seed: number },
): Promise<SearchResult> {
  const random = createRandom(seed)
  const dictionary = target.dictionary.map((text) => Buffer.from(text, 'latin1'))
  const corpus = [...target.seeds.map((text) => Buffer.from(text, 'latin1')), ...known]
  const breaks: Break[] = []
  let runs = 0

  async function runAll(inputs: readonly Buffer[]): Promise<void> {
    for (const input of inputs) {
      const broken = breaks.length < MAX_BREAKS ? await breakOf(target, input) : undefined
      if (broken !== undefined) breaks.push(broken)
    }
    runs += inputs.length
  }

  /** Those of a batch that reach what is new, in parts and then one by one. */
  async function finders(batch: readonly Buffer[]): Promise<Buffer[]> {
    const found: Buffer[] = []
    for (let from = 0; from < batch.length; from += PART_SIZE) {
      const part = batch.slice(from, from + PART_SIZE)
      await runAll(part)
      if (!(await coverage.sees())) continue
      for (const input of part) {
        await runAll([input])
        if (await coverage.learns()) found.push(input)
      }
    }
    return found
  }

  await runAll(corpus)
  await coverage.learns()
  const endsAt = performance.now() + forMs
  while (performance.now() < endsAt && breaks.length < MAX_BREAKS) {
    const batch = Array.from({ length: BATCH_SIZE }, () => {
      // The latest finds are where something new is near.
      const at = random(2) === 0 ? random(corpus.length) : Math.max(0, corpus.length - 1 - random(16))
      return mutate(corpus[at] ?? Buffer.alloc(0), { random, others: corpus, dictionary })
    })
    await runAll(batch)
    if (await coverage.sees()) corpus.push(...(await finders(batch)))
  }
  const kept = await smallest(target, corpus, coverage)
  return { runs, corpus: kept, coveredBytes: coverage.coveredBytes, breaks }
}

/** The shortest inputs first, and of the others only what reaches something that these do not. */
async function smallest(target: FuzzTarget, corpus: readonly Buffer[], coverage: Coverage): Promise<Buffer[]> {
  await coverage.forget()
  const kept: Buffer[] = []
  for (const input of corpus.toSorted((a, b) => a.length - b.length)) {
    await breakOf(target, input)
    if (await coverage.learns()) kept.push(input)
  }
  return kept
}
