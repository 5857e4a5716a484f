import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { jsonLine, printable } from '../../../src/cli/printable.ts'
import { detailsText, paperOf, recordTable, tableText } from '../../../src/cli/table.ts'
import { cutToWidth, textWidth } from '../../../src/cli/text-width.ts'

const pipe = { columns: undefined, isColoured: false }

describe('what strangers wrote', () => {
  const cases = [
    { why: 'moves the cursor', text: '\u001b[2J', shown: '\\u001b[2J' },
    { why: 'moves it by one byte (C1)', text: '\u009b2J', shown: '\\u009b2J' },
    { why: 'rings, and begins a line', text: 'a\u0007\r\nb', shown: 'a\\u0007\\u000d\\u000ab' },
    { why: 'deletes', text: '\u007f', shown: '\\u007f' },
    { why: 'turns the order of letters', text: 'a\u202eb\u2066', shown: 'a\\u202eb\\u2066' },
    { why: 'is not seen', text: 'a\u200bb\ufeff', shown: 'a\\u200bb\\ufeff' },
    { why: 'begins a line for some', text: '\u2028\u2029\u0085', shown: '\\u2028\\u2029\\u0085' },
    { why: 'is half a character', text: '\ud83d', shown: '\\ud83d' },
    { why: 'is outside the first plane', text: '\u{e0041}', shown: '\\udb40\\udc41' },
    { why: 'is text', text: 'Zoë 东京 🙂 \\ "', shown: 'Zoë 东京 🙂 \\ "' },
  ]
  for (const { why, text, shown } of cases) test(`${why}: it is shown`, () => assert.equal(printable(text), shown))

  test('is the same JSON when it is JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const line = jsonLine(value)
        assert.deepEqual(JSON.parse(line), JSON.parse(JSON.stringify(value)))
        assert.match(line, /^[^\p{C}\p{Zl}\p{Zp}]*\n$/u)
      }),
    )
  })
})

describe('widths', () => {
  test('are those that a terminal gives', () => {
    const cases: [string, number][] = [
      ['', 0],
      ['abc', 3],
      ['Zoë', 3],
      ['Zoe\u0308', 3],
      ['东京', 4],
      ['ｗ', 2],
      ['🙂', 2],
      ['한글', 4],
    ]
    for (const [text, width] of cases) assert.equal(textWidth(text), width, text)
  })

  test('are kept when text is cut, wherever a wide character stands', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 20 }), (text, columns) => {
        const cut = cutToWidth(printable(text), columns)
        assert.ok(textWidth(cut) <= columns)
        if (textWidth(printable(text)) <= columns) assert.equal(cut, printable(text))
        else assert.ok(cut.endsWith('…'))
      }),
    )
  })
})

describe('a table', () => {
  const headings = ['NAME', 'COUNT', 'PATHS']
  const rows = [
    ['app', '7', '/a, /b'],
    ['东京', '1,200', '/'],
  ]

  test('has aligned columns, numbers to the right, no tabs and no blanks at the end', () => {
    assert.equal(tableText(headings, rows, pipe), 'NAME  COUNT  PATHS\napp       7  /a, /b\n东京  1,200  /\n')
  })

  test('without rows is its headings', () => assert.equal(tableText(headings, [], pipe), 'NAME  COUNT  PATHS\n'))

  test('on a terminal is no wider than that: the widest columns are cut', () => {
    const wide = [['a'.repeat(60), 'b'.repeat(40), 'short']]
    const lines = tableText(['A', 'B', 'C'], wide, { columns: 50, isColoured: false }).trimEnd().split('\n')
    assert.ok(lines.every((line) => textWidth(line) <= 50))
    assert.match(lines[1] ?? '', /^a{19,21}… {2}b{19,21}… {2}short$/)
    assert.ok(tableText(['A', 'B', 'C'], wide, pipe).includes('a'.repeat(60)))
  })

  test('on a terminal that is far too narrow is shown all the same', () => {
    const text = tableText(['A', 'B', 'C'], [['a'.repeat(60), 'b'.repeat(60), 'c']], { columns: 5, isColoured: false })
    assert.equal(text.split('\n')[1], 'aaaaa…  bbbbb…  c')
  })

  test('never exceeds a terminal that has room for it, whatever is in the cells', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.string({ unit: 'binary', maxLength: 60 }), { minLength: 3, maxLength: 3 }), {
          maxLength: 5,
        }),
        fc.integer({ min: 30, max: 120 }),
        (cells, columns) => {
          const lines = tableText(headings, cells, { columns, isColoured: false }).split('\n').slice(0, -1)
          assert.equal(lines.length, cells.length + 1)
          for (const line of lines) assert.ok(textWidth(line) <= columns, line)
        },
      ),
    )
  })

  test('of answers has a column for each member that one of them has', () => {
    const [names, cells] = recordTable([
      { id: 'a', signs: true },
      { id: 'b', age_seconds: 7, of: null },
    ])
    assert.deepEqual(names, ['ID', 'SIGNS', 'AGE SECONDS', 'OF'])
    assert.deepEqual(cells, [
      ['a', 'yes', '-', '-'],
      ['b', '-', '7', '-'],
    ])
  })

  test('may have as many rows as there are sessions', () => {
    const rows = Array.from({ length: 200_000 }, (_, at) => [String(at), 'a'])
    assert.match(tableText(headings, rows, pipe), /\n199999 {2}a\n$/)
  })

  test('of names and values has no heading', () =>
    assert.equal(
      detailsText(
        [
          ['mode', 'enforce'],
          ['up', { text: 'no', tone: 'bad' }],
        ],
        pipe,
      ),
      'mode  enforce\nup    no\n',
    ))
})

describe('colour', () => {
  const cell = [[{ text: 'down', tone: 'bad' as const }]]
  const cases: readonly [why: string, env: Record<string, string>, columns: number | undefined, isColoured: boolean][] =
    [
      ['on a terminal', { TERM: 'xterm' }, 80, true],
      ['not where somebody has said so', { TERM: 'xterm', NO_COLOR: '1' }, 80, false],
      ['where somebody has said nothing with it', { TERM: 'xterm', NO_COLOR: '' }, 80, true],
      ['not on one that has none', { TERM: 'dumb' }, 80, false],
      ['not in a pipe', { TERM: 'xterm' }, undefined, false],
    ]
  for (const [why, env, columns, isColoured] of cases) {
    test(why, () => {
      const paper = paperOf({ env, outputColumns: columns })
      assert.equal(paper.isColoured, isColoured)
      assert.equal(tableText([], cell, paper), isColoured ? '\u001b[31mdown\u001b[0m\n' : 'down\n')
    })
  }
})
