import { type Answer, cellOf } from './answers.ts'
import type { CliContext } from './context.ts'
import { printable } from './printable.ts'
import { cutToWidth, textWidth } from './text-width.ts'

/** `bad` is what somebody has to look after, `odd` what is not as usual. */
export type Tone = 'bad' | 'odd' | 'good' | 'heading'

export type Cell = string | { readonly text: string; readonly tone: Tone }

/** Where a text goes. */
export interface Paper {
  /** Width of the terminal; undefined: it goes elsewhere, and nothing is cut. */
  readonly columns: number | undefined
  readonly isColoured: boolean
}

const GAP = '  '
/** A column of a table that is too wide is cut down to this, and no further: less tells nothing. */
const NARROWEST = 6

const COLOURS: Readonly<Record<Tone, string>> = { bad: '31', odd: '33', good: '32', heading: '1' }

/** Colour is for a terminal that has it, and for nobody who has said NO_COLOR (https://no-color.org). */
export function paperOf({ env, outputColumns }: Pick<CliContext, 'env' | 'outputColumns'>): Paper {
  const isColoured = outputColumns !== undefined && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb'
  return { columns: outputColumns, isColoured }
}

export function toned(text: string, tone: Tone, { isColoured }: Pick<Paper, 'isColoured'>): string {
  return isColoured && text !== '' ? `\x1b[${COLOURS[tone]}m${text}\x1b[0m` : text
}

/**
 * Rows with aligned columns, numbers to the right. On a terminal no line is longer than that is wide, as far as it goes:
 * the widest columns are cut, with `…`. Controls in cells are escaped. Without headings if there are none.
 */
export function tableText(headings: readonly string[], rows: readonly (readonly Cell[])[], paper: Paper): string {
  const heading = headings.map((text): Cell => ({ text, tone: 'heading' }))
  const lines = (headings.length > 0 ? [heading, ...rows] : rows).map((row) => row.map(plain))
  const count = largest(lines.map((line) => line.length))
  const at = [...Array(count).keys()]
  const natural = at.map((column) => largest(lines.map((line) => textWidth(line[column]?.text ?? ''))))
  const widths = fitted(natural, paper.columns)
  const body = headings.length > 0 ? lines.slice(1) : lines
  const isNumeric = at.map((column) => {
    const texts = body.map((line) => line[column]?.text ?? '').filter((text) => text !== '')
    return texts.length > 0 && texts.every(isNumber)
  })
  return lines
    .map((line) => {
      const cells = line.map(({ text, tone }, column) => {
        const cut = cutToWidth(text, widths[column] ?? 0)
        const room = ' '.repeat(Math.max(0, (widths[column] ?? 0) - textWidth(cut)))
        const shown = tone === undefined ? cut : toned(cut, tone, paper)
        if (isNumeric[column]) return room + shown
        return column === line.length - 1 ? shown : shown + room
      })
      return `${cells.join(GAP).trimEnd()}\n`
    })
    .join('')
}

/** Names and values, one pair a line. */
export function detailsText(pairs: readonly (readonly [name: string, value: Cell])[], paper: Paper): string {
  const rows = pairs.map(([text, value]): Cell[] => [{ text, tone: 'heading' }, value])
  return tableText([], rows, paper)
}

/** A table with a column for each member that any of them has, in the order in which they come. */
export function recordTable(
  records: readonly Answer[],
): [headings: readonly string[], rows: readonly (readonly Cell[])[]] {
  const names = [...new Set(records.flatMap((record) => Object.keys(record)))]
  const headings = names.map((name) => name.replaceAll('_', ' ').toUpperCase())
  return [headings, records.map((record) => names.map((name) => cellOf(record[name])))]
}

function plain(cell: Cell): { readonly text: string; readonly tone?: Tone } {
  return typeof cell === 'string' ? { text: printable(cell) } : { ...cell, text: printable(cell.text) }
}

/** The widths for so many columns in all: what is wider than the others gives first, and alike. */
function fitted(natural: readonly number[], columns: number | undefined): readonly number[] {
  if (columns === undefined) return natural
  const room = columns - GAP.length * (natural.length - 1)
  const capped = (cap: number): number[] => natural.map((width) => Math.min(width, cap))
  let cap = Math.max(NARROWEST, Math.min(room, Math.max(0, ...natural)))
  while (cap > NARROWEST && capped(cap).reduce((sum, width) => sum + width, 0) > room) cap -= 1
  return capped(cap)
}

/** 0 of none. `Math.max` takes no more than some ten thousand arguments, and a list of all sessions has more rows. */
function largest(lengths: readonly number[]): number {
  return lengths.reduce((most, length) => Math.max(most, length), 0)
}

function isNumber(text: string): boolean {
  return /^(?:-|-?\d[\d,.]*)$/.test(text)
}
