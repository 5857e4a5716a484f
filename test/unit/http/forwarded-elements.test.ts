import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ForwardedElement, parseForwarded } from '../../../src/http/forwarded-elements.ts'

const cases: [why: string, lines: string[], elements: ForwardedElement[] | undefined][] = [
  ['none', [], []],
  ['one', ['for=192.0.2.60;proto=http;host=a.example'], [{ for: '192.0.2.60', proto: 'http', host: 'a.example' }]],
  ['names in any case', ['For="[2001:db8::1]:4711"'], [{ for: '[2001:db8::1]:4711' }]],
  ['several in a line', ['for=192.0.2.43, for=198.51.100.17'], [{ for: '192.0.2.43' }, { for: '198.51.100.17' }]],
  ['several lines', ['for=a', 'for=b;proto=https'], [{ for: 'a' }, { for: 'b', proto: 'https' }]],
  ['a comma in quotes', ['for="a,b";by=c'], [{ for: 'a,b', by: 'c' } as ForwardedElement]],
  ['an escape in quotes', ['for="a\\"b"'], [{ for: 'a"b' }]],
  ['a parameter twice', ['for=a;for=b'], undefined],
  ['an unfinished quotation', ['for="a'], undefined],
  ['an address that needs quotes', ['for=[::1]'], undefined],
  ['an empty element', ['for=a,,for=b'], undefined],
  ['a comma at the end', ['for=a,'], undefined],
  ['an empty line', [''], undefined],
  ['one good and one bad line', ['for=a', 'for'], undefined],
  [
    'a name that is a member of every object',
    ['__proto__=a;for=b'],
    [{ for: 'b', ['__proto__']: 'a' } as ForwardedElement],
  ],
]
for (const [why, lines, elements] of cases) {
  test(`Forwarded: ${why}`, () => assert.deepEqual(parseForwarded(lines), elements))
}

test('whatever stands there is read without a throw', () => {
  fc.assert(fc.property(fc.array(fc.string(), { maxLength: 3 }), (lines) => void parseForwarded(lines)))
})
