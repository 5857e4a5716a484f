import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { createEventReader, type ServerEvent } from '../../../page/src/event-stream.ts'
import { flatValues } from '../../../page/src/flat-values.ts'
import { minutesOf } from '../../../page/src/minutes.ts'
import { linkTo, readPlace } from '../../../page/src/place.ts'
import { isShown, parseRequestLine } from '../../../page/src/request-line.ts'
import { pathOf, revocationOf, searchOf, wordsFor } from '../../../page/src/session-search.ts'
import {
  counted,
  durationText,
  millisText,
  numberText,
  plainly,
  reasonText,
  typedValue,
} from '../../../page/src/wording.ts'

describe('an address of the page', () => {
  test('says the view, what of it, and what was asked, and comes back as it was', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, unit: 'grapheme' }),
        fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.string({ unit: 'grapheme' })),
        (id, asked) => {
          const place = readPlace(linkTo('sessions', { id, asked }))
          assert.deepEqual({ ...place, asked: { ...place.asked } }, { view: 'sessions', id, asked: { ...asked } })
        },
      ),
    )
  })

  for (const hash of ['', '#', '#/', '#/nothing', '#/overview', '#/__proto__/x']) {
    test(`'${hash}' is the overview`, () => {
      assert.deepEqual(readPlace(hash), { view: 'overview', id: undefined, asked: {} })
    })
  }

  test('with an escape that is none is taken as it stands', () => {
    assert.equal(readPlace('#/sessions/%E0%A4%A').id, '%E0%A4%A')
  })
})

describe('events', () => {
  const text =
    ': requests\n\nevent: request\ndata: {"a":1}\n\ndata: one\r\ndata:two\r\n\r\nid: 7\n\nevent: left_out\ndata: {"count":3}\n\n'
  const expected = [
    { name: 'request', data: '{"a":1}' },
    { name: 'message', data: 'one\ntwo' },
    { name: 'left_out', data: '{"count":3}' },
  ]
  test('are read wherever the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 12 }), (cuts) => {
        const events: ServerEvent[] = []
        const read = createEventReader((event) => events.push(event))
        const places = [0, ...cuts.toSorted((a, b) => a - b), text.length]
        places.slice(1).forEach((end, i) => {
          read(text.slice(places[i], end))
        })
        // A \r\n that is cut in two may make an end of its own, which is empty.
        assert.deepEqual(events, expected)
      }),
    )
  })

  test('that do not end are not kept for ever', () => {
    const read = createEventReader(() => undefined)
    assert.throws(() => read('data: '.padEnd(1024 * 1024 + 7, 'x')), RangeError)
  })
})

describe('what strangers wrote', () => {
  test('turns nothing around and hides nothing', () => {
    assert.equal(plainly('a\u202egnp.exe\u0000\n\u200b\ufeff'), 'a\\u{202e}gnp.exe\\u{0}\\u{a}\\u{200b}\\u{feff}')
    assert.equal(plainly('Zoë <b> 日本 👩‍👧'), 'Zoë <b> 日本 👩‍👧')
  })

  test('in a line that is none of a request is left out', () => {
    for (const text of ['', '{', 'null', '7', '"x"']) assert.equal(parseRequestLine(text, 1), undefined)
    const odd = parseRequestLine('{"url.path":7,"http.response.status_code":"200","time":null}', 1)
    assert.deepEqual([odd?.path, odd?.status, odd?.time], ['', undefined, ''])
  })
})

describe('the filter of requests', () => {
  const line = parseRequestLine(
    '{"time":"2030-01-01T00:00:00Z","http.request.method":"GET","url.scheme":"https","server.address":"shop.example","url.path":"/Orders/7","http.route":"app","http.response.status_code":302,"local.reason":"login_redirect","auth.reason":"no_session","session.id_hash":"0123456789012345678901"}',
    1,
  )
  const cases = [
    { filter: {}, is: true },
    { filter: { status: '3' }, is: true },
    { filter: { status: '2' }, is: false },
    { filter: { path: ' orders' }, is: true },
    { filter: { path: '/x' }, is: false },
    { filter: { route: 'app' }, is: true },
    { filter: { route: 'login' }, is: false },
    { filter: { status: '3', path: 'orders', route: 'login' }, is: false },
  ]
  for (const { filter, is } of cases) {
    test(`${JSON.stringify(filter)} ${is ? 'shows' : 'hides'} it`, () => {
      assert.ok(line)
      assert.equal(isShown(line, { status: '', path: '', route: '', ...filter }), is)
    })
  }
  test('the decision stands in the words of the log', () => {
    assert.equal(line?.decision, 'login redirect, no session')
    assert.equal(line?.url, 'https://shop.example/Orders/7')
  })
})

describe('a search for sessions', () => {
  const cases = [
    { asked: { user: '7' }, path: '/api/sessions?limit=50&user=7', ends: { user: '7' }, words: 'of user 7' },
    {
      asked: { key: 'userInfo.role', value: 'admin' },
      path: '/api/sessions?limit=50&key=userInfo.role&value=%22admin%22',
      ends: { key: 'userInfo.role', value: 'admin' },
      words: 'in which userInfo.role is "admin"',
    },
    {
      asked: { key: 'userInfo.id', value: '7' },
      path: '/api/sessions?limit=50&key=userInfo.id&value=7',
      ends: { key: 'userInfo.id', value: 7 },
      words: 'in which userInfo.id is 7',
    },
    { asked: { by: 'all' }, path: '/api/sessions?limit=50', ends: undefined, words: 'there are' },
  ]
  for (const { asked, path, ends, words } of cases) {
    test(`${words}: finds and ends the same`, () => {
      const search = searchOf(asked as Record<string, string>)
      assert.ok(search)
      assert.deepEqual([pathOf(search, 50), revocationOf(search), wordsFor(search)], [path, ends, words])
    })
  }
  test('that says nothing is none', () => {
    assert.equal(searchOf({}), undefined)
    assert.equal(searchOf({ key: 'a' }), undefined)
  })
})

test('numbers are short, and what is not known is a dash', () => {
  assert.deepEqual([0, 0.12345, 12.345, 999.6, 1234.5, null].map(numberText), [
    '0',
    '0.123',
    '12.3',
    '1,000',
    '1,235',
    '–',
  ])
  assert.deepEqual([0.00025, null].map(millisText), ['0.25 ms', '–'])
  assert.deepEqual([0, 59, 61, 3600, 90_061, 200_000].map(durationText), [
    '0 s',
    '59 s',
    '1 min 1 s',
    '1 h',
    '1 d 1 h',
    '2 d 7 h',
  ])
  assert.deepEqual([counted(1, 'session'), counted(1200, 'session')], ['1 session', '1,200 sessions'])
  assert.equal(
    reasonText('no_session; observe mode: would be login'),
    'there is no session; observe mode: would be login',
  )
  assert.equal(reasonText('something else'), 'something else')
})

test('what is typed is JSON where that says the same, else text', () => {
  const cases: [typed: string, is: unknown][] = [
    ['admin', 'admin'],
    ['7', 7],
    ['"7"', '7'],
    ['null', null],
    ['{"a":[1.5]}', { a: [1.5] }],
    ['9007199254740993', '9007199254740993'],
    ['[9007199254740993]', '[9007199254740993]'],
    ['1e400', '1e400'],
    ['', ''],
  ]
  for (const [typed, is] of cases) assert.deepEqual(typedValue(typed), is, typed)
})

test('a tree is told leaf by leaf, and empty branches too', () => {
  assert.deepEqual(flatValues({ a: { b: [1, { c: 'x' }] }, d: [], e: {}, f: null }), [
    { path: 'a.b[0]', text: '1' },
    { path: 'a.b[1].c', text: '"x"' },
    { path: 'd', text: '[]' },
    { path: 'e', text: '{}' },
    { path: 'f', text: 'null' },
  ])
})

test('the history by the minute has the mean of what is known, the newest first', () => {
  const at = [
    '2030-01-01T00:00:50.000Z',
    '2030-01-01T00:01:00.000Z',
    '2030-01-01T00:01:10.000Z',
    '2030-01-01T00:02:00.000Z',
  ]
  assert.deepEqual(minutesOf(at, [[1, 2, 4, null]]), [
    { at: '2030-01-01T00:02:00.000Z', values: [null] },
    { at: '2030-01-01T00:01:00.000Z', values: [3] },
    { at: '2030-01-01T00:00:00.000Z', values: [1] },
  ])
})
