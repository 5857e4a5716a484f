import { createRandom as createDraws } from '../support/random.ts'

/** A whole number from 0 up to, not including, `below`. */
export type Random = (below: number) => number

/** The same numbers for the same seed, everywhere. By the rest of a division, so that a seed that was noted stays good. */
export function createRandom(seed: number): Random {
  const { bits } = createDraws(seed)
  return (below) => bits() % below
}

/** Bytes at which readers turn: ends of lines and texts, delimiters, the ends of alphabets and of number types. */
const turningBytes = Buffer.from(
  '\0\t\n\r "#%&\'(),./:;<=>?@[\\]^_`{|}~019AFZafz\x7f\x80\xa0\xbf\xc0\xe2\xff',
  'latin1',
)

/** Longer inputs find little that shorter ones do not, and take longer to do it. */
export const MAX_INPUT_BYTES = 600

/** Changes an input in one to five places. `others`: what it may take pieces from. */
export function mutate(
  input: Buffer,
  { random, others, dictionary }: { random: Random; others: readonly Buffer[]; dictionary: readonly Buffer[] },
): Buffer {
  let bytes = input
  for (let changes = 1 + random(5); changes > 0; changes -= 1) {
    const at = random(bytes.length + 1)
    const length = 1 + random(random(4) === 0 ? 64 : 6)
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)]
    const rest = after.subarray(length)
    bytes = Buffer.concat([before, ...changed({ after, rest, length, random, others, dictionary })])
  }
  return bytes.subarray(0, MAX_INPUT_BYTES)
}

interface Change {
  readonly after: Buffer
  readonly rest: Buffer
  readonly length: number
  readonly random: Random
  readonly others: readonly Buffer[]
  readonly dictionary: readonly Buffer[]
}

/** What stands in the place of `after`, whose first `length` bytes may go: then only `rest` is left of it. */
function changed({ after, rest, length, random, others, dictionary }: Change): Buffer[] {
  const piece = after.subarray(0, length)
  switch (random(10)) {
    case 0:
      return [rest]
    case 1:
      return [piece, piece, rest]
    case 2:
      return [piece, ...Array<Buffer>(random(30)).fill(piece), rest]
    case 3:
      return [Buffer.from([turningBytes[random(turningBytes.length)] ?? 0]), after.subarray(random(2))]
    case 4:
      return [Buffer.from([random(256)]), after.subarray(random(2))]
    case 5:
      return [Buffer.from([(after[0] ?? 0) ^ (1 << random(8))]), after.subarray(1)]
    case 6:
      return [Buffer.from([...piece].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')), rest]
    case 7: {
      const other = others[random(others.length)] ?? rest
      const from = random(other.length + 1)
      return [other.subarray(from, from + length * 4), random(2) === 0 ? after : rest]
    }
    default:
      return [dictionary[random(dictionary.length)] ?? piece, random(2) === 0 ? after : rest]
  }
}
