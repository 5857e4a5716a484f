import type { Step } from './stepped-world.ts'

/** Runs one history: starts its clients, each step of whom waits until it is let through. */
export type History = (step: Step) => Promise<void>

/**
 * Every order in which the steps of a history can happen, one history each. Returns how many there were.
 *
 * A step that waits is let through when nothing else moves; where several wait, each of them is the first once.
 */
export async function runEveryOrder(history: History): Promise<number> {
  // Which of the waiting was let through, and out of how many, step by step.
  let turns: Turn[] = []
  for (let count = 1; ; count++) {
    turns = await runOrder(history, turns)
    while (turns.length > 0 && isLast(turns.at(-1))) turns.pop()
    const turn = turns.pop()
    if (turn === undefined) return count
    turns.push({ ...turn, taken: turn.taken + 1 })
  }
}

interface Turn {
  readonly taken: number
  readonly waiting: number
}

function isLast(turn: Turn | undefined): boolean {
  return turn !== undefined && turn.taken === turn.waiting - 1
}

async function runOrder(history: History, prefix: readonly Turn[]): Promise<Turn[]> {
  const waiting: (() => void)[] = []
  const names: string[] = []
  const step: Step = (name, effect) =>
    new Promise((resolve) => {
      waiting.push(() => {
        names.push(name)
        resolve(effect())
      })
    })
  const turns: Turn[] = []
  let isOver = false
  const run = history(step).finally(() => {
    isOver = true
  })
  try {
    while (!isOver) {
      // All that can move without a step has moved when the promises have run dry.
      await new Promise((resolve) => setImmediate(resolve))
      if (waiting.length === 0) continue
      const taken = prefix[turns.length]?.taken ?? 0
      turns.push({ taken, waiting: waiting.length })
      waiting.splice(taken, 1)[0]?.()
    }
    await run
  } catch (error) {
    throw new Error(`in the order ${names.join(', ')}`, { cause: error })
  }
  return turns
}
