import { printable } from '../../config/excerpt.ts'
import type { Diagnosis } from '../../lib/diagnosis.ts'
import type { AreaReport } from './areas.ts'

/** How many there are of each that wants something done. */
export interface Tally {
  readonly warnings: number
  readonly faults: number
}

export function tallyOf(reports: readonly AreaReport[]): Tally {
  const count = (verdict: Diagnosis['verdict']): number =>
    reports.flatMap(({ diagnoses }) => diagnoses).filter((diagnosis) => diagnosis.verdict === verdict).length
  return { warnings: count('warning'), faults: count('fault') }
}

const marks: Readonly<Record<Diagnosis['verdict'], string>> = { good: '✓', warning: '!', fault: '✗' }

/** An area a paragraph. Servers are quoted in it, so nothing in it can steer a terminal. */
export function reportText(reports: readonly AreaReport[]): string {
  return reports
    .filter(({ diagnoses }) => diagnoses.length > 0)
    .map(({ name, diagnoses }) => `${printable(name)}\n${diagnoses.map(diagnosisText).join('')}`)
    .join('')
}

function diagnosisText({ verdict, text, advice }: Diagnosis): string {
  const line = `  ${marks[verdict]} ${printable(text)}\n`
  return advice === undefined ? line : `${line}      ${printable(advice)}\n`
}

/** The same for programs: one object in one line. */
export function reportJson(reports: readonly AreaReport[], file: string): string {
  const { warnings, faults } = tallyOf(reports)
  const checks = reports.flatMap(({ name, diagnoses }) =>
    diagnoses.map(({ verdict, text, advice }) => ({
      area: printable(name),
      verdict,
      text: printable(text),
      ...(advice === undefined ? {} : { advice: printable(advice) }),
    })),
  )
  return `${JSON.stringify({ ok: faults === 0, file: printable(file), warnings, faults, checks })}\n`
}

export function tallyText({ warnings, faults }: Tally): string {
  return `${count(faults, 'fault')}, ${count(warnings, 'warning')}`
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
