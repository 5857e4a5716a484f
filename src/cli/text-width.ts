const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

/** What East Asian Width (UAX #11) calls wide, and what terminals draw as a picture. */
const WIDE =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f200}-\u{1f64f}\u{20000}-\u{3fffd}]/u

const ASCII = /^[ -~]*$/

/** How many columns of a terminal the text takes; it has no controls in it. */
export function textWidth(text: string): number {
  if (ASCII.test(text)) return text.length
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += widthOf(segment)
  return width
}

/** The text, or its beginning with `…` at the end, so that it takes no more than so many columns; at least one. */
export function cutToWidth(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text
  let [cut, width] = ['', 0]
  for (const { segment } of graphemes.segment(text)) {
    width += widthOf(segment)
    if (width > columns - 1) break
    cut += segment
  }
  return `${cut}…`
}

function widthOf(segment: string): number {
  return WIDE.test(segment) ? 2 : 1
}
