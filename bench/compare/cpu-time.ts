import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

interface Process {
  readonly parent: number
  /** Its own, and that of its children that have ended and were waited for. */
  readonly ticks: number
}

/** What a clock of `/proc` counts: usually 100 ticks in a second. */
export function readTicksPerSecond(): number {
  return Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
}

/**
 * CPU time in user and system mode of a process and of all that it has started, threads and ended children included. As
 * long as nobody of them is adopted by another process, nothing is lost.
 *
 * @throws {Error} where there is no `/proc` as Linux has it.
 */
export function cpuSecondsOf(root: number, ticksPerSecond: number): number {
  const processes = readProcesses()
  const childrenOf = new Map<number, number[]>()
  for (const [pid, { parent }] of processes) childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), pid])
  let ticks = 0
  for (const left = [root]; left.length > 0; ) {
    const pid = left.pop() ?? root
    ticks += processes.get(pid)?.ticks ?? 0
    left.push(...(childrenOf.get(pid) ?? []))
  }
  return ticks / ticksPerSecond
}

function readProcesses(): ReadonlyMap<number, Process> {
  const processes = new Map<number, Process>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      processes.set(Number(name), parseStat(readFileSync(`/proc/${name}/stat`, 'latin1')))
    } catch {
      // It ended between the list and the look.
    }
  }
  return processes
}

/** The program's name stands in brackets and may hold anything; proc(5) counts the fields behind it from 3. */
function parseStat(stat: string): Process {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const field = (number: number): number => Number(fields[number - 3])
  return { parent: field(4), ticks: field(14) + field(15) + field(16) + field(17) }
}
