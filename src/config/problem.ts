import { excerptOf, printable } from './excerpt.ts'
import type { Finding } from './finding.ts'
import { pathText } from './path.ts'
import type { Source } from './source.ts'

/** One thing that is wrong with the configuration, or worth knowing about it. Fit to be printed: it holds no secret. */
export interface Problem {
  readonly severity: 'error' | 'warning'
  readonly file: string
  /** From 1; absent when the file could not be read at all. */
  readonly line?: number
  /** From 1, in UTF-16 units. */
  readonly column?: number
  /** Where in the file's structure: `routes[2].upstream`. */
  readonly path: string
  /** What is wrong. */
  readonly message: string
  /** The way out. */
  readonly hint?: string
  /** The line of the file, and carets under the place. */
  readonly excerpt?: readonly [line: string, carets: string]
}

/**
 * The configuration cannot be used. `problems` holds everything that was found, warnings too, in the order of the file;
 * `message` is the same for a person to read.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[], options: { readonly cause?: unknown } = {}) {
    super(formatProblems(problems), options.cause === undefined ? undefined : { cause: options.cause })
    this.problems = problems
  }
}

/** Nobody reads more, and a file of nothing but mistakes would take minutes to be quoted. */
const MAX_PROBLEMS = 1000

/** Findings with their lines, in the order of the file, each said once; errors first among more than 1,000. */
export function locateFindings(findings: readonly Finding[], source: Source): Problem[] {
  const seen = new Set<string>()
  const worst = findings.length <= MAX_PROBLEMS ? findings : findings.toSorted(bySeverity).slice(0, MAX_PROBLEMS)
  return worst
    .map((finding) => ({ finding, range: finding.range ?? source.rangeOf(finding.path, finding.atKey === true) }))
    .sort((a, b) => a.range[0] - b.range[0])
    .filter(({ finding, range }) => {
      const key = `${range[0]} ${finding.message}`
      return !seen.has(key) && seen.add(key)
    })
    .map(({ finding, range }) => {
      const hidden = finding.hidesValue === true ? [source.rangeOf(finding.path, false)] : []
      const excerpt = excerptOf(source, range, hidden)
      return {
        severity: finding.severity,
        file: source.file,
        ...source.positionOf(range[0]),
        path: printable(pathText(finding.path)),
        message: printable(finding.message),
        ...(finding.hint === undefined ? {} : { hint: printable(finding.hint) }),
        ...(excerpt === undefined ? {} : { excerpt }),
      }
    })
}

function bySeverity(a: Finding, b: Finding): number {
  return Number(a.severity === 'warning') - Number(b.severity === 'warning')
}

/** `file:line:column: error: message`, the excerpt with carets, and the way out. */
export function formatProblem(problem: Problem): string {
  const place = [problem.file, problem.line, problem.column].filter((part) => part !== undefined).join(':')
  const lines = [`${place}: ${problem.severity}: ${problem.message}`]
  if (problem.excerpt !== undefined && problem.line !== undefined) {
    const number = String(problem.line).padStart(5)
    lines.push(`${number} | ${problem.excerpt[0]}`, `${' '.repeat(number.length)} | ${problem.excerpt[1]}`)
  }
  if (problem.hint !== undefined) lines.push(`${' '.repeat(6)}= ${problem.hint}`)
  return lines.join('\n')
}

/** All of them, with a blank line between. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.map(formatProblem).join('\n\n')
}
