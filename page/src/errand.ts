import { useState } from 'preact/hooks'
import { wordsOf } from './api.ts'

/** Something that the operator has done, and what became of it. One at a time. */
export interface Errand {
  readonly isBusy: boolean
  readonly outcome: string | undefined
  readonly failure: string | undefined
  /** `work` gives the words for what it did; undefined: the operator turned back. */
  run(work: () => Promise<string | undefined>): Promise<void>
}

export function useErrand(): Errand {
  const [state, setState] = useState<Omit<Errand, 'run'>>({ isBusy: false, outcome: undefined, failure: undefined })
  return {
    ...state,
    async run(work) {
      setState({ isBusy: true, outcome: undefined, failure: undefined })
      try {
        const outcome = await work()
        setState({ isBusy: false, outcome, failure: undefined })
      } catch (error) {
        setState({ isBusy: false, outcome: undefined, failure: wordsOf(error) })
      }
    },
  }
}
