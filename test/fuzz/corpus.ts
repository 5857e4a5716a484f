import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, 'corpus')

/** The inputs that are kept for a target; none if it has no file yet. */
export function readCorpus(name: string): Buffer[] {
  const file = join(folder, `${name}.jsonl`)
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => Buffer.from(String(JSON.parse(line)), 'latin1'))
}

/** Keeps these and no others: one JSON text a line, one character a byte, so that a diff can be read. */
export function writeCorpus(name: string, inputs: readonly Buffer[]): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name}.jsonl`), inputs.map((input) => `${lineOf(input)}\n`).join(''))
}

/** As it stands in the file, in ASCII. */
export function lineOf(input: Buffer): string {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(input.toString('latin1')).replace(/[\x7f-\xff]/g, escaped)
}
