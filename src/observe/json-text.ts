/** A line over this is made again with its texts cut: a log is no place to store what a stranger sends. */
export const MAX_LINE_CHARACTERS = 16_384

/** Printable ASCII but for `"` and `\`: what stands in JSON as it is. */
const plain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

/** JSON leaves them as they are, but terminals act on some and some readers take others for a line's end. */
const unsafeInLine = /[\u0080-\u009f\u2028\u2029]/g

/** A text as a JSON string that is safe in a line. Nearly all are plain, and only those that are not pay for it. */
export function quoted(text: string): string {
  return plain.test(text) ? `"${text}"` : safeInLine(JSON.stringify(text))
}

/** The same JSON, with what is unsafe in a line as `\uXXXX`. */
export function safeInLine(json: string): string {
  return isAscii(json) ? json : json.replace(unsafeInLine, escapeCharacter)
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** Far quicker than looking for the characters one by one, and nearly always true. */
function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length
}
