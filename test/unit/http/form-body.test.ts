import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isFormPost, parseFormBody } from '../../../src/http/form-body.ts'

const types: [type: string, isForm: boolean][] = [
  ['application/x-www-form-urlencoded', true],
  ['Application/X-WWW-Form-URLencoded; charset=UTF-8', true],
  ['application/x-www-form-urlencoded;charset="utf-8"', true],
  ['application/x-www-form-urlencoded; charset=iso-8859-1', false],
  ['application/x-www-form-urlencoded, text/plain', false],
  ['application/x-www-form-urlencodedx', false],
  ['multipart/form-data; boundary=x', false],
  ['text/plain', false],
  ['application/json', false],
  ['', false],
]
for (const [type, isForm] of types) {
  test(`a POST of ${type || 'nothing'} is ${isForm ? 'a' : 'no'} form`, () => {
    assert.equal(isFormPost('POST', ['Content-Type', type]), isForm)
    assert.equal(isFormPost('PUT', ['Content-Type', type]), false)
  })
}

test('several types, none, and a body that is compressed are no form', () => {
  const type = ['Content-Type', 'application/x-www-form-urlencoded']
  assert.equal(isFormPost('POST', []), false)
  assert.equal(isFormPost('POST', [...type, ...type]), false)
  assert.equal(isFormPost('POST', [...type, 'Content-Encoding', 'gzip']), false)
})

const bodies: [why: string, body: string, fields: [string, string][] | undefined][] = [
  ['nothing', '', []],
  [
    'two fields',
    'a=1&b=2',
    [
      ['a', '1'],
      ['b', '2'],
    ],
  ],
  [
    'one name twice, in its order',
    'a=2&b=&a=1',
    [
      ['a', '2'],
      ['b', ''],
      ['a', '1'],
    ],
  ],
  ['spaces and UTF-8', 'a=x+y%C3%A9', [['a', 'x yé']]],
  ['lines', 'a=x%0D%0Ay', [['a', 'x\r\ny']]],
  ['markup', 'a=%3Cb%3E%22%27%26', [['a', '<b>"\'&']]],
  ['a line break that a browser would change', 'a=x%0Ay', undefined],
  ['the other half of one', 'a=x%0Dy', undefined],
  ['NUL, which no page can hold', 'a=%00', undefined],
  ['bytes of another encoding', 'a=%E9', undefined],
  ['another spelling of the same', 'a=%c3%a9', undefined],
  ['an encoded space', 'a=x%20y', undefined],
  ['no equals sign', 'a', undefined],
  ['no name', '=1', undefined],
  ['an empty field', 'a=1&', undefined],
  ['a question mark', '?a=1', undefined],
  ['bytes that are no ASCII', 'a=\xe9', undefined],
  ['JSON', '{"a":1}', undefined],
  ['what browsers fill in themselves, filled in', '_charset_=UTF-8', [['_charset_', 'UTF-8']]],
  ['what browsers fill in themselves, otherwise', '_CharSet_=latin1', undefined],
]
for (const [why, body, fields] of bodies) {
  test(`a body with ${why} ${fields === undefined ? 'cannot' : 'can'} be sent again as it was`, () => {
    assert.deepEqual(parseFormBody(body), fields)
  })
}

test('a thousand fields are as many as there may be', () => {
  const body = (count: number): string => Array.from({ length: count }, () => 'a=').join('&')
  assert.equal(parseFormBody(body(1000))?.length, 1000)
  assert.equal(parseFormBody(body(1001)), undefined)
})

test('whatever is said to be repeatable makes the same bytes again', () => {
  const field = fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }))
  const body = fc.oneof(
    fc.array(field).map((fields) => new URLSearchParams(fields).toString()),
    fc.string({ unit: fc.constantFrom(...'a=&%0D+A;\r\n?') }),
  )
  fc.assert(
    fc.property(body, (text) => {
      const fields = parseFormBody(text)
      if (fields !== undefined) assert.equal(new URLSearchParams(fields.map(([...pair]) => pair)).toString(), text)
    }),
    { numRuns: 2000 },
  )
})
