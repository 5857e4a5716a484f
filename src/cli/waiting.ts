import { type CliContext, CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { interruptible } from './interruption.ts'
import { barOf, clockText } from './progress.ts'

const FIRST_MS = 1_000
const EVERY_MS = 200

/**
 * Runs what takes as long as the gateway takes, and shows on a terminal that it does: `[  ====  ] clearing, 0:07`.
 * Ctrl-C ends the wait, not what the gateway has begun.
 */
export async function whileWaiting<T>(
  context: Pick<CliContext, 'tell' | 'isTerminal' | 'onInterrupt'>,
  { what, isQuiet }: { readonly what: string; readonly isQuiet: boolean },
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const startedMs = performance.now()
  let frame = 0
  const show = (): void => {
    const elapsedMs = performance.now() - startedMs
    if (elapsedMs >= FIRST_MS) context.tell(`\r\x1b[2K${barOf(frame++)} ${what}, ${clockText(elapsedMs)}`)
  }
  const timer = context.isTerminal && !isQuiet ? setInterval(show, EVERY_MS) : undefined
  let isInterrupted = false
  const watched = (signal: AbortSignal): Promise<T> => {
    signal.addEventListener('abort', () => {
      isInterrupted = true
    })
    return task(signal)
  }
  try {
    return await interruptible(context, watched)
  } catch (error) {
    throw isInterrupted ? new CommandError(exitCodes.failed, 'interrupted; what the gateway has begun goes on') : error
  } finally {
    clearInterval(timer)
    if (frame > 0) context.tell('\r\x1b[2K')
  }
}
