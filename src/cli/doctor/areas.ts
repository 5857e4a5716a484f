import { type Diagnosis, fault } from '../../lib/diagnosis.ts'
import { withinDeadline } from '../../sessions/deadline.ts'
import { systemScheduler } from '../../sessions/scheduler.ts'
import { wordsOf } from '../failure-words.ts'

/** What every look may take, in milliseconds; what it asks for has a little less, so that its own words come first. */
export const LOOK_MS = 2000
export const ANSWER_MS = 1800

/** Something that is looked at by itself. */
export interface Area {
  readonly name: string
  readonly examine: () => readonly Diagnosis[] | Promise<readonly Diagnosis[]>
}

export interface AreaReport {
  readonly name: string
  readonly diagnoses: readonly Diagnosis[]
}

/** Looks at all of them side by side, each for two seconds at most; the reports come in the order of the areas. */
export async function examineAreas(areas: readonly Area[], lookMs = LOOK_MS): Promise<readonly AreaReport[]> {
  return await Promise.all(
    areas.map(async (area) => ({ name: area.name, diagnoses: await examined(area, lookMs).catch(asFault) })),
  )
}

async function examined(area: Area, lookMs: number): Promise<readonly Diagnosis[]> {
  return await withinDeadline((async () => await area.examine())(), {
    timeoutMs: lookMs,
    scheduler: systemScheduler,
    onExpire: () => new Error(`no answer within ${lookMs / 1000} s`),
  })
}

/** Whatever a look ends in is something that the gateway would meet too. */
function asFault(error: unknown): readonly Diagnosis[] {
  return [fault(wordsOf(error))]
}
