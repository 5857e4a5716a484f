import { userInfo } from 'node:os'
import type { CliContext } from './context.ts'

/** What a command is about to change. */
export interface Deed {
  /** As the API calls it. */
  readonly event: string
  /** What was asked for, without values. */
  readonly asked: readonly string[]
}

/** Counts what was changed; disposed, it has written that down, if it was anything. */
export interface CliAudit extends Disposable {
  count: number
}

/**
 * Writes down on stderr who changed what, as the gateway's log does for the API: the command goes straight to the store, and
 * no gateway hears of more than that sessions have ended. On a terminal somebody watches, and reads words instead.
 */
export function openAudit(context: Pick<CliContext, 'tell' | 'isTerminal'>, { event, asked }: Deed): CliAudit {
  return {
    count: 0,
    [Symbol.dispose]() {
      if (this.count === 0 || context.isTerminal) return
      const head = { time: new Date().toISOString(), level: 'info', msg: 'audit' }
      const tail = { event, outcome: 'done', asked, count: this.count, actor: `os:${systemUser()}` }
      context.tell(`${JSON.stringify({ ...head, ...tail })}\n`)
    },
  }
}

/** A container may run as a number that has no name. */
function systemUser(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown')
  }
}
