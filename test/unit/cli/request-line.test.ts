import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isWanted, parsePathPattern, parseStatuses, requestText } from '../../../src/cli/request-line.ts'
import { textWidth } from '../../../src/cli/text-width.ts'

const line = {
  time: '2026-11-23T14:01:07.114Z',
  'http.request.method': 'GET',
  'url.path': '/admin/',
  'http.route': 'admin',
  'http.response.status_code': 302,
  duration_ms: 3.25,
  outcome: 'local',
  'local.reason': 'login_redirect',
  'auth.reason': 'no_session',
  'session.state': 'anonymous',
}

describe('a request, for somebody who watches', () => {
  test('is one line: when, what, how long, where, why', () => {
    assert.equal(
      requestText(line, { columns: undefined, isColoured: false }),
      '14:01:07.114  302  GET         3.3 ms  /admin/  admin · login_redirect · no_session · session anonymous\n',
    )
  })

  test('is no wider than the terminal, and shows no controls', () => {
    const hostile = { ...line, 'url.path': `/\u001b[2J\u202e${'x'.repeat(200)}`, 'local.reason': '\r\n' }
    const text = requestText(hostile, { columns: 70, isColoured: false })
    assert.equal(textWidth(text.slice(0, -1)), 70)
    assert.match(text, /\/\\u001b\[2J\\u202exx.*…\n$/)
  })

  test('is coloured by its status', () => {
    const paper = { columns: 100, isColoured: true }
    const coloured = (status: number) => requestText({ ...line, 'http.response.status_code': status }, paper)
    assert.ok(coloured(503).includes('\u001b[31m503\u001b[0m'))
    assert.ok(coloured(404).includes('\u001b[33m404\u001b[0m'))
    assert.ok(!coloured(200).includes('\u001b'))
  })

  test('of a version that tells less is shown as far as it goes', () => {
    assert.equal(requestText({}, { columns: undefined, isColoured: false }).trim(), '-  -                -  -')
  })
})

describe('which requests are shown', () => {
  const statuses: readonly [text: string, yes: readonly number[], no: readonly number[]][] = [
    ['404', [404], [400, 403, 500]],
    ['5xx', [500, 503, 599], [499, 200]],
    ['401, 403,5XX', [401, 403, 502], [402, 404]],
  ]
  for (const [text, yes, no] of statuses) {
    test(`by status ${text}`, () => {
      const isStatus = parseStatuses(text)
      assert.ok(isStatus)
      assert.deepEqual([yes.every(isStatus), no.some(isStatus)], [true, false])
    })
  }
  for (const text of ['', 'x', '40', '4040', '6xx', '4x', '404,', '200-299']) {
    test(`${JSON.stringify(text)} is no status`, () => assert.equal(parseStatuses(text), undefined))
  }

  const paths: readonly [text: string, yes: readonly string[], no: readonly string[]][] = [
    ['/login', ['/login'], ['/login/', '/Login', '/logins']],
    ['/admin/*', ['/admin', '/admin/', '/admin/x/y'], ['/administration', '/']],
    ['/*', ['/', '/x'], []],
  ]
  for (const [text, yes, no] of paths) {
    test(`by path ${text}`, () => {
      const isPath = parsePathPattern(text)
      assert.ok(isPath)
      assert.deepEqual([yes.every(isPath), no.some(isPath)], [true, false])
    })
  }
  for (const text of ['', 'login', '/a*', '/*/b', '*']) {
    test(`${JSON.stringify(text)} is no path`, () => assert.equal(parsePathPattern(text), undefined))
  }

  test('by all that is asked for at once', () => {
    const filter = { isStatus: (status: number) => status === 302, routes: new Set(['admin']), isPath: () => true }
    assert.equal(isWanted(line, filter), true)
    assert.equal(isWanted({ ...line, 'http.route': 'app' }, filter), false)
    assert.equal(isWanted({ ...line, 'http.response.status_code': 200 }, filter), false)
    assert.equal(isWanted(line, { isPath: (path) => path === '/x' }), false)
    assert.equal(isWanted({}, {}), true)
  })
})
