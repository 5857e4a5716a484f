/** What one side did in one slot of time. */
export interface Sample {
  readonly operations: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of this side's own process or processes, all threads, user and system; never the server's. */
  readonly cpuMicrosPerOperation: number
  /** Of changes made in parallel to one session: those that were not there any more when their writer looked again. */
  readonly lost: number
  /** Refused by an error, and not counted as operations. Always 0 for the gateway, whose errors end the run. */
  readonly failed: number
}

/** So many seconds of one operation, so many at a time, on these sessions. */
export interface Slot {
  readonly keys: readonly string[]
  readonly seconds: number
  readonly inFlight: number
}

/** So many seconds in which these writers all change the first of the sessions. */
export interface MergeSlot {
  readonly keys: readonly string[]
  readonly seconds: number
  readonly names: readonly string[]
}

/** What each writer wrote last. */
export type LastNumbers = Readonly<Record<string, number>>

export type MergeSample = Sample & { readonly last: LastNumbers }

/** Does one operation as the worker of that number. */
export type Work = (worker: number) => Promise<void>

/** So many workers, each doing one operation after the other until the time is over. */
export async function measure(work: Work, { seconds, inFlight }: Omit<Slot, 'keys'>): Promise<Sample> {
  const durationsMs: number[] = []
  const cpuBefore = process.cpuUsage()
  const startedMs = performance.now()
  const endMs = startedMs + seconds * 1000
  const run = async (worker: number): Promise<void> => {
    for (let fromMs = performance.now(); fromMs < endMs; ) {
      await work(worker)
      const nowMs = performance.now()
      durationsMs.push(nowMs - fromMs)
      fromMs = nowMs
    }
  }
  await Promise.all(Array.from({ length: inFlight }, (_, worker) => run(worker)))
  const elapsedMs = performance.now() - startedMs
  const cpu = process.cpuUsage(cpuBefore)
  const operations = durationsMs.length
  durationsMs.sort((a, b) => a - b)
  const at = (share: number): number => durationsMs[Math.min(operations - 1, Math.floor(operations * share))] ?? 0
  return {
    operations,
    perSecond: (operations / elapsedMs) * 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    cpuMicrosPerOperation: (cpu.user + cpu.system) / operations,
    lost: 0,
    failed: 0,
  }
}
