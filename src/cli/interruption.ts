import type { CliContext } from './context.ts'

/** Runs a long task with a signal that Ctrl-C aborts; pressed again, it ends the process as ever. */
export async function interruptible<T>(
  context: Pick<CliContext, 'onInterrupt'>,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const interruption = new AbortController()
  const stopListening = context.onInterrupt(() => {
    interruption.abort()
    stopListening()
  })
  try {
    return await task(interruption.signal)
  } finally {
    stopListening()
  }
}
