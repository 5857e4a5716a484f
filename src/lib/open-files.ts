import { readFileSync } from 'node:fs'

/**
 * How many files and sockets this process may have open at once; undefined where the system sets no limit, or does not
 * say in `/proc`. Node has raised it to the hard limit by then.
 */
export function readOpenFilesLimit(): number | undefined {
  try {
    return parseOpenFilesLimit(readFileSync('/proc/self/limits', 'latin1'))
  } catch {
    return undefined
  }
}

/** The soft limit in the text of `/proc/self/limits`. */
export function parseOpenFilesLimit(text: string): number | undefined {
  const soft = /^Max open files +(\d+) /m.exec(text)?.[1]
  return soft === undefined ? undefined : Number(soft)
}
