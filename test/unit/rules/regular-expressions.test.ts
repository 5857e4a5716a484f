import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { patternProblem } from '../../../src/rules/regular-expressions.ts'

const good = [
  '',
  'ops|admin',
  '^/api/',
  '^ops$',
  '^[a-z0-9-]+$',
  '^[^@]+@good\\.example$',
  '^.*@good\\.example$',
  '^/team/[a-z]{1,32}/(read|write)$',
  '^\\d{1,9}(\\.\\d{1,9})?$',
  '^v\\d+$',
  'https?://',
  '\\bops\\b',
  '^(?:a|b|c){1,3}$',
  '^(abc)*$',
  '^.+?x$',
  '^a{3}$',
  '^a{2,}$',
  '^müller',
  '[\\w.\\-]',
]
for (const pattern of good) test(`${pattern} may be used`, () => assert.equal(patternProblem(pattern), undefined))

const costly: [why: string, pattern: string][] = [
  ['nested repetition', '^(a+)+$'],
  ['nested repetition without an anchor', '(a*)*'],
  ['nested repetition over a class', '^([a-z]+)*$'],
  ['nested repetition with a bound', '^(a{1,50}){1,50}$'],
  ['alternatives that overlap under repetition', '^(a|aa)+$'],
  ['alternatives that are the same under repetition', '^(a|a)*$'],
  ['an alternative that is empty under repetition', '^(|a)*$'],
  ['an optional part under repetition', '^(a?b?)+$'],
  ['two open ends', '^.*.*x$'],
  ['two open ends that do not overlap, which is not looked into', '^[a-z]+-[0-9]+$'],
  ['an open end without an anchor', '[a-z]+@'],
  ['an open end in an alternative without an anchor', '^a|b.*c'],
  ['an open end in a group with an anchor that binds one alternative', '(^a|b.*c)'],
  ['many optional parts', `^${'a?'.repeat(40)}$`],
  ['many alternatives in a row', `^${'(a|a)'.repeat(30)}$`],
  ['repetition of a long run', '((a{999}){999}){999}'],
  ['two large bounds', '^a{0,9999}a{0,9999}$'],
]
for (const [why, pattern] of costly) {
  test(`${why} is refused`, () => assert.match(patternProblem(pattern) ?? '', /too long/))
}

const unknown: [why: string, pattern: string][] = [
  ['a look ahead', '^(?=a)b'],
  ['a look behind', '(?<=a)b'],
  ['a name', '(?<n>a)'],
  ['flags', '(?i)a'],
  ['a back-reference', '(a)\\1'],
  ['a back-reference by name', '\\k<n>'],
  ['an octal escape', '\\012'],
  ['a Unicode escape', '\\u0061'],
  ['a property', '\\p{L}'],
  ['a class by name', '[[:alpha:]]'],
  ['an empty class', '[]'],
  ['a class of everything', '[^]'],
  ['a brace by itself', 'a{'],
  ['a bound without a beginning', 'a{,3}'],
  ['a repetition of nothing', '*a'],
  ['a repetition of a repetition', 'a**'],
  ['a possessive repetition', 'a++'],
  ['an anchor in the middle', 'a^b'],
  ['an open group', '(a'],
  ['a closed group', 'a)'],
  ['an open class', '[a'],
  ['a backslash at the end', 'a\\'],
  ['a control character', 'a\nb'],
  ['a character beyond U+FFFF', '😀+'],
  ['bounds the wrong way round', 'a{3,2}'],
  ['a range the wrong way round', '[z-a]'],
  ['too many characters', 'a'.repeat(201)],
]
for (const [why, pattern] of unknown) {
  test(`${why} is refused`, () => assert.notEqual(patternProblem(pattern), undefined))
}

const piece = fc.constantFrom('a', 'b', '.', '[ab]', '[^b]', '(a|b)', '(a|ab)', '(?:a|)', '(ab)', '^', '$', '\\w', '|')
const repetition = fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{1,3}', '{2,}', '*?')
const anyPattern = fc
  .array(fc.tuple(piece, repetition), { minLength: 1, maxLength: 5 })
  .map((items) => items.map((item) => item.join('')).join(''))
const nested = fc.oneof(
  anyPattern,
  fc.tuple(anyPattern, repetition).map(([inner, times]) => `^(${inner})${times}x`),
  fc.tuple(anyPattern, anyPattern).map(([first, second]) => `^${first}${second}$`),
)

test('whatever is accepted ends soon on text made to keep it busy', () => {
  // Nothing interrupts a matcher that hangs, so that the run comes to an end is itself what is tested.
  const texts = ['a'.repeat(4096), 'ab'.repeat(2048), `${'a'.repeat(4095)}!`]
  fc.assert(
    fc.property(nested, (pattern) => {
      if (patternProblem(pattern) !== undefined) return
      const expression = new RegExp(pattern)
      for (const text of texts) assert.equal(typeof expression.test(text), 'boolean')
    }),
    { numRuns: 300 },
  )
})
