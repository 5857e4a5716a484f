import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { Api } from './api.ts'

/** Something that is asked before it is done. */
export interface Question {
  readonly title: string
  /** How much, of what. */
  readonly text: string
  /** What the button says that does it. */
  readonly action: string
}

/** What every view has: the way to the gateway, and the way to ask whether it is meant. */
export interface Surroundings {
  readonly api: Api
  /** Resolves to no when the operator turns back. */
  readonly confirm: (question: Question) => Promise<boolean>
}

export const SurroundingsContext = createContext<Surroundings | undefined>(undefined)

function useSurroundings(): Surroundings {
  const surroundings = useContext(SurroundingsContext)
  if (surroundings === undefined) throw new TypeError('a view stands outside of the page')
  return surroundings
}

export function useApi(): Api {
  return useSurroundings().api
}

export function useConfirm(): Surroundings['confirm'] {
  return useSurroundings().confirm
}
