import type { Range } from './finding.ts'
import { urlCredentials } from './sensitivity.ts'
import type { Source } from './source.ts'

const MASK = '***'
const WIDTH = 110

/** A longer line is no text that a person wrote; masking it for each of its problems would take minutes. */
const MAX_LINE = 2000

/** `secret_key: hunter2` wherever it stands, for text that could not be parsed: everything behind the colon goes. */
const LITERAL_SECRET =
  /(?:secret|token|passw|pwd|private|credential|authorization|_key|\bkey)[\w-]*["']?\s*[:=]\s*(?=\S)/gi

/** A line of nothing but a long word: a key in base64, or a piece of a PEM block. */
const BARE_MATERIAL = /^[\s>|-]*[\w+/=.-]{24,}\s*$/

/**
 * The line on which `range` begins and a second one with carets under it. Secrets, and what could be one, stand there as
 * `***`; substituted values cannot stand there at all, because this is the text of the file. `hidden` are
 * further ranges to mask. `undefined` for a line of more than 2,000 characters.
 */
export function excerptOf(
  source: Source,
  range: Range,
  hidden: readonly Range[] = [],
): readonly [line: string, carets: string] | undefined {
  const lineStart = source.text.lastIndexOf('\n', range[0] - 1) + 1
  const lineBreak = source.text.indexOf('\n', range[0])
  const line = source.text.slice(lineStart, lineBreak === -1 ? undefined : lineBreak).replace(/\r$/, '')
  if (line.length > MAX_LINE) return undefined
  const masks = [...source.secrets, ...hidden]
    .map(([start, end]): Range => [start - lineStart, end - lineStart])
    .filter(([start, end]) => end > 0 && start < line.length)
    .concat(urlCredentials(line), source.isWellFormed ? [] : suspectedSecrets(line))
  const shown = mask(line, masks)
  const start = shown.columns[Math.min(range[0] - lineStart, line.length)] ?? 0
  const end = shown.columns[Math.min(range[1] - lineStart, line.length)] ?? shown.text.length
  return cut(shown.text, start, Math.max(end, start + 1))
}

function suspectedSecrets(line: string): Range[] {
  if (BARE_MATERIAL.test(line)) return [[0, line.length]]
  const first = [...line.matchAll(LITERAL_SECRET)][0]
  return first === undefined ? [] : [[first.index + first[0].length, line.length]]
}

/** The line with `***` for each masked part, and for every column of the line the column where it stands now. */
function mask(line: string, masks: readonly Range[]): { text: string; columns: number[] } {
  let text = ''
  const columns: number[] = []
  let wasHidden = false
  for (let at = 0; at < line.length; at++) {
    const isHidden = masks.some(([start, end]) => at >= start && at < end)
    if (isHidden && !wasHidden) text += MASK
    columns.push(isHidden ? text.length - MASK.length : text.length)
    if (!isHidden) text += printable(line.charAt(at))
    wasHidden = isHidden
  }
  columns.push(text.length)
  return { text, columns }
}

/** Control and direction characters would let a file write something else into the terminal than it holds. */
export function printable(text: string): string {
  return text.replace(/\t/g, ' ').replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd')
}

function cut(text: string, start: number, end: number): readonly [string, string] {
  const from = start + 20 <= WIDTH ? 0 : Math.max(0, Math.min(start - 40, text.length - WIDTH))
  const window = text.slice(from, from + WIDTH)
  const head = from > 0 ? '…' : ''
  const tail = from + WIDTH < text.length ? '…' : ''
  const caretStart = start - from + head.length
  const carets = Math.max(1, Math.min(end, from + WIDTH) - start)
  return [`${head}${window}${tail}`.trimEnd(), `${' '.repeat(caretStart)}${'^'.repeat(carets)}`]
}
