import { z } from 'zod'
import { Secret } from '../secret.ts'
import { DURATION, LONGEST_TIMER_MS, parseDuration, parseSize, SIZE } from '../units.ts'

// An error text here is the end of a sentence that begins with "must be": `listen[0].address must be host:port …`.

const AGE_LIMIT_MS = 36_500 * 86_400_000

const durationPhrase = 'a duration: a whole number with its unit, such as 300ms, 30s, 15m, 1h or 14d'
const agePhrase = 'a duration such as 14d, or a whole number of seconds'
const sizePhrase = 'a size: a number of bytes, or a whole number with its unit, such as 512B, 16KiB or 10MB'

/** `true` or `false`, and none of YAML 1.1's `yes` and `on`. */
export function flag() {
  return z.boolean({ error: 'true or false' })
}

/** One of the words. */
export function choice<const Words extends readonly [string, ...string[]]>(words: Words) {
  return z.enum(words, { error: words.length === 1 ? `the word ${words[0]}` : `one of ${words.join(', ')}` })
}

/** Text that is not empty. `phrase` says what it is. */
export function text(phrase = 'text') {
  return z.string({ error: phrase }).min(1, { error: `${phrase} that is not empty` })
}

/** Text of a form. */
export function textLike(form: RegExp, phrase: string) {
  return z.string({ error: phrase }).regex(form, { error: phrase })
}

/** A whole number within bounds. */
export function count(min: number, max: number) {
  const error = `a whole number from ${min} to ${max}`
  return z.int({ error }).min(min, { error }).max(max, { error })
}

/** Milliseconds from `30s`: more than nothing unless `zero` is allowed, at most `max`, else what a timer can run. */
export function duration({ zero = false, max = '24d' } = {}) {
  const maxMs = parseDuration(max) ?? LONGEST_TIMER_MS
  return textLike(DURATION, durationPhrase).transform((written, context) => {
    const ms = parseDuration(written)
    if (ms === undefined || ms > maxMs) context.addIssue({ code: 'custom', message: `at most ${max}` })
    else if (ms === 0 && !zero) context.addIssue({ code: 'custom', message: 'more than nothing' })
    return ms ?? 0
  })
}

/** Milliseconds from `14d` or from a bare number of seconds, as Django's settings have it. Whole seconds. */
export function age() {
  return z
    .union([textLike(DURATION, agePhrase), z.int({ error: agePhrase })], { error: agePhrase })
    .transform((written, context) => {
      const ms = typeof written === 'number' ? written * 1000 : (parseDuration(written) ?? Number.POSITIVE_INFINITY)
      if (ms <= 0) context.addIssue({ code: 'custom', message: 'more than nothing' })
      else if (ms > AGE_LIMIT_MS) context.addIssue({ code: 'custom', message: 'at most 36500d' })
      else if (ms % 1000 !== 0) context.addIssue({ code: 'custom', message: 'whole seconds, as cookies count them' })
      return ms
    })
}

/** Bytes from `16KiB` or from a bare number. */
export function size(min = 1, max = Number.MAX_SAFE_INTEGER) {
  return z
    .union([textLike(SIZE, sizePhrase), z.int({ error: sizePhrase })], { error: sizePhrase })
    .transform((written, context) => {
      const bytes = typeof written === 'number' ? written : (parseSize(written) ?? Number.POSITIVE_INFINITY)
      if (bytes < min)
        context.addIssue({ code: 'custom', message: min === 1 ? 'more than nothing' : `at least ${min} bytes` })
      else if (bytes > max) context.addIssue({ code: 'custom', message: `at most ${max} bytes` })
      return bytes
    })
}

/** A value that must not be shown; empty is an error, because an empty secret is what a forgotten one looks like. */
export function secret() {
  return text('a secret').transform((revealed) => new Secret(revealed))
}

/** One value or a list of them; the result is a list. */
export function oneOrMore<Item extends z.ZodType<string, string>>(item: Item, phrase: string) {
  const error = `${phrase}, or a list of them`
  return z
    .union([item, z.array(item, { error }).min(1, { error: `${error}, not an empty one` })], { error })
    .transform((written): string[] => (typeof written === 'string' ? [written] : written))
}

/** `item` or YAML's `null`, which becomes `undefined`: "not set". */
export function nullable<Item extends z.ZodType>(item: Item) {
  return item.nullable().transform((written) => written ?? undefined)
}

/** A mapping with a closed set of keys. */
export function mapping<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, { error: 'a mapping' })
}

/** A list of anything. */
export function list<Item extends z.ZodType>(item: Item, phrase: string) {
  return z.array(item, { error: phrase })
}
