import { readFileSync } from 'node:fs'
import type { TestGateway } from './gateway.ts'

/** The process ids of a gateway's workers. */
export function pidsOf({ process: { pid } }: Pick<TestGateway, 'process'>): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return text.split(' ').filter(Boolean).map(Number)
}

/** Whether that process is there; one that has ended and that nobody has waited for yet is not. */
export function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}
