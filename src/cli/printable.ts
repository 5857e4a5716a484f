/** Controls of terminals (C0, DEL, C1), what turns or hides letters (format characters), lone surrogates, separators of lines. */
const CONTROLS = /[\p{C}\p{Zl}\p{Zp}]/gu

/**
 * Text that may come from strangers (a path, a user's id, a key of a session), as one line of a terminal can show it. As
 * it came, it could move the cursor, write over what stands there, or set the window's title. Each such character is
 * written as JSON would write it, so JSON stays the same JSON.
 */
export function printable(text: string): string {
  return text.replace(CONTROLS, (character) =>
    [...Array(character.length).keys()].map((at) => escaped(character.charCodeAt(at))).join(''),
  )
}

/** One line of JSON, with the controls escaped that `JSON.stringify` leaves as they are. */
export function jsonLine(value: unknown): string {
  return `${printable(JSON.stringify(value))}\n`
}

function escaped(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`
}
