import type { EventEmitter } from 'node:events'

/** How long a test waits for something that is due at once, in milliseconds; long enough for a busy machine. */
export const DEADLINE_MS = 10_000

/**
 * The promise's value, if it comes within `deadlineMs`; otherwise an error that says what was waited for, so that a
 * test which hangs names the reason instead of running into the runner's limit.
 */
export async function within<T>(what: string, promise: Promise<T>, deadlineMs = DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${deadlineMs} ms for ${what}`)), deadlineMs)
  })
  try {
    return await Promise.race([promise, deadline])
  } finally {
    clearTimeout(timer)
  }
}

/** The arguments of the next event of that name. Unlike `events.once` it does not reject on an `error` event. */
export function eventWithin(emitter: EventEmitter, event: string, deadlineMs = DEADLINE_MS): Promise<unknown[]> {
  const { promise, resolve } = Promise.withResolvers<unknown[]>()
  const listener = (...values: unknown[]) => resolve(values)
  emitter.once(event, listener)
  return within(`event '${event}'`, promise, deadlineMs).finally(() => emitter.off(event, listener))
}

/**
 * Resolves as soon as the condition holds, looked at on every turn of the event loop. For states that announce
 * themselves by no event; where there is an event, wait for that.
 */
export async function until(what: string, condition: () => boolean, deadlineMs = DEADLINE_MS): Promise<void> {
  const giveUpAt = performance.now() + deadlineMs
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error(`waited ${deadlineMs} ms until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** Runs a number of turns of the event loop, for "nothing more happens": what is already under way gets its chance. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}
