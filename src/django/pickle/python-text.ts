import { isUtf8 } from 'node:buffer'

/**
 * UTF-8 as Python writes it with `surrogatepass`: a lone surrogate, for which UTF-8 has no form, takes the three bytes
 * that it would have if it were a character. Needed only for text that is not well-formed; Node does the rest.
 */
export function encodeSurrogates(text: string): Buffer {
  const pieces = text.split(/(\p{Surrogate})/u)
  // Every second piece is what was split at.
  return Buffer.concat(pieces.map((piece, i) => (i % 2 === 1 ? surrogateBytes(piece) : Buffer.from(piece))))
}

function surrogateBytes(unit: string): Buffer {
  const code = unit.charCodeAt(0)
  return Buffer.from([0xed, 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)])
}

/**
 * The text that these bytes are in UTF-8 with Python's `surrogatepass`; undefined where Python raises. A high and a low
 * surrogate that come to stand beside each other are one character here: in Python they are two, but the JSON that it
 * writes for them is the same.
 */
export function decodeUtf8(bytes: Buffer, start: number, end: number): string | undefined {
  const text = bytes.toString('utf8', start, end)
  // Either this stood in the text, or it stands for bytes that are not UTF-8.
  return text.includes('\ufffd') ? decodeSurrogates(bytes.toString('latin1', start, end)) : text
}

function decodeSurrogates(units: string): string | undefined {
  // 0xED is never the second, third or fourth byte of a character, so no character is cut here.
  const pieces = units.split(/(\xed[\xa0-\xbf][\x80-\xbf])/)
  let text = ''
  for (const [i, piece] of pieces.entries()) {
    const bytes = Buffer.from(piece, 'latin1')
    if (i % 2 === 1)
      text += String.fromCharCode(0xd000 | ((piece.charCodeAt(1) & 0x3f) << 6) | (piece.charCodeAt(2) & 0x3f))
    else if (isUtf8(bytes)) text += bytes.toString()
    else return undefined
  }
  return text
}
