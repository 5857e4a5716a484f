import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSessionData, type SessionData } from '../../../src/django/json.ts'
import { compileExpression, ExpressionError, type ExpressionSubject } from '../../../src/rules/expressions.ts'

function sessionOf(json: string): SessionData {
  const data = parseSessionData(json)
  if (data === undefined) throw new TypeError('the sample is no session')
  return data
}

const sample = sessionOf(`{
  "userInfo": {"id": 7, "role": "ops", "name": "Zo\\u00eb", "is_staff": true, "ratio": 1.0, "none": null},
  "n": 6, "big": 1152921504606846977, "float": 5.5, "exp": 1e3, "nan": NaN, "minus": -3,
  "roles": ["ops", "dev"], "mixed": [1, "ops", null], "empty": [], "nobody": {}, "text": "7",
  "nested": {"a": [{"b": 1}, {"b": 2}]}
}`)

function subject(more: Partial<ExpressionSubject> = {}): ExpressionSubject {
  return {
    data: sample,
    method: 'GET',
    path: '/admin/x',
    host: 'app.example',
    clientIp: '192.0.2.1',
    headers: ['Host', 'app.example', 'X-Team', 'blue', 'Accept', 'text/html', 'accept', '*/*'],
    ...more,
  }
}

const verdicts: [expression: string, holds: boolean | string][] = [
  ['session.userInfo.id == 7', true],
  ['session.userInfo.id == 7.0', true],
  ['session.userInfo.id == "7"', false],
  ['session.text == 7', false],
  ['session.n > 5', true],
  ['session.n > 5.5', true],
  ['session.n + 1 == 7', true],
  ['session.minus < -2', true],
  ['session.big == 1152921504606846977', true],
  ['session.big == 1152921504606846976', false],
  ['session.float > 5', true],
  ['session.exp == 1000', true],
  ['session.userInfo.ratio == 1', true],
  ['session.userInfo.ratio * 1.5 == 1.5', true],
  ['session.nan == session.nan', false],
  ['session.nan > 1', false],
  ['session.userInfo.role in ["ops", "admin"]', true],
  ['session.userInfo.id in [6, 7]', true],
  ['"ops" in session.roles', true],
  ['"ops" in session.mixed', true],
  ['"op" in session.roles', false],
  ['"ops" in session.empty', false],
  ['"role" in session.userInfo', true],
  ['"op" in session.userInfo.role', 'no_such_overload'],
  ['has(session.userInfo)', true],
  ['has(session.nope)', false],
  ['has(session.nope.id)', 'no_such_key'],
  ['"userInfo" in session', true],
  ['"nope" in session', false],
  ['session.nope == 1', 'no_such_key'],
  ['session.nope != 1', 'no_such_key'],
  ['!(session.nope == 1)', 'no_such_key'],
  ['session.nope == 1 || session.n == 6', true],
  ['session.nope == 1 && session.n == 7', false],
  ['session.userInfo.none == null', true],
  ['session.userInfo.is_staff', true],
  ['session.userInfo.role', 'not_bool'],
  ['!session.userInfo.role', 'no_such_overload'],
  ['session.n', 'not_bool'],
  ['session["userInfo"]["id"] == 7', true],
  ['session.roles[1] == "dev"', true],
  ['session.roles[2] == "dev"', 'index_out_of_bounds'],
  ['session.roles.exists(r, r == "ops")', true],
  ['session.roles.all(r, r.startsWith("o"))', false],
  ['session.roles.map(r, r + "!") == ["ops!", "dev!"]', true],
  ['session.nested.a.exists(x, x.b == 2)', true],
  ['size(session) == 13', true],
  ['size(session.nobody) == 0', true],
  ['session.nobody == {}', true],
  ['session.exists(k, k == "userInfo")', true],
  ['cel.bind(u, session.userInfo, u.id == 7 && u.role == "ops")', true],
  ['session.userInfo.name == "Zoë"', true],
  ['session.userInfo.role.matches("^(ops|admin)$")', true],
  ['session.n.matches("^6$")', 'no_matching_overload'],
  ['request.method == "GET"', true],
  ['request.path.startsWith("/admin/")', true],
  ['request.host == "app.example"', true],
  ['request.client_ip == "192.0.2.1"', true],
  ['request.headers["x-team"] == "blue"', true],
  ['"x-other" in request.headers', false],
  ['has(request.headers.accept)', true],
  ['request.headers.accept == "text/html, */*"', true],
  ['request.headers["x-other"] == "blue"', 'no_such_key'],
  ['int(session.text) == 7', true],
  ['int(session.userInfo.role) == 7', 'int_conversion_error'],
  ['1 / (session.n - 6) == 1', 'division_by_zero'],
  ['true', true],
  ['session.n > 5 ? session.userInfo.is_staff : false', true],
]
for (const [text, expected] of verdicts) {
  test(`${text}: ${expected}`, () => {
    const verdict = compileExpression(text).evaluate(subject())
    assert.deepEqual(verdict, typeof expected === 'boolean' ? { holds: expected } : { holds: false, failure: expected })
  })
}

const hostileKeys = ['constructor', '__proto__', 'prototype', 'hasOwnProperty', 'toString', 'size', 'get', 'valueOf']
for (const key of hostileKeys) {
  test(`${key} is a key like any other: missing where it is missing, there where it is there`, () => {
    const asked = [`session["${key}"] == 1`, `session.userInfo["${key}"] == 1`].map(compileExpression)
    for (const expression of asked) {
      assert.deepEqual(expression.evaluate(subject()), { holds: false, failure: 'no_such_key' })
      const data = sessionOf(`{"${key}": 1, "userInfo": {"${key}": 1}}`)
      assert.deepEqual(expression.evaluate(subject({ data })), { holds: true })
    }
    assert.deepEqual(compileExpression(`"${key}" in session`).evaluate(subject()), { holds: false })
    assert.deepEqual(compileExpression(`"${key}" in session.userInfo`).evaluate(subject()), { holds: false })
  })
}

test('nobody has an empty session', () => {
  const nobody = subject({ data: new Map() })
  assert.deepEqual(compileExpression('size(session) == 0').evaluate(nobody), { holds: true })
  assert.deepEqual(compileExpression('has(session.userInfo)').evaluate(nobody), { holds: false })
  assert.deepEqual(compileExpression('session.userInfo.id == 7').evaluate(nobody), {
    holds: false,
    failure: 'no_such_key',
  })
})

test('only the keys that the text names are read', () => {
  const read: string[] = []
  const data: SessionData = new Proxy(sample, {
    get(map, member) {
      if (member !== 'get') throw new TypeError('more than single keys were asked for')
      return (key: string) => {
        read.push(key)
        return map.get(key)
      }
    },
  })
  const text = 'session.n > 5 && session["roles"][0] == "ops" && has(session.userInfo.id) && !("nope" in session)'
  assert.deepEqual(compileExpression(text).evaluate(subject({ data })), { holds: true })
  assert.deepEqual(read, ['n', 'roles', 'userInfo', 'nope'])
})

const problems: [why: string, text: string, message: RegExp, offset?: number][] = [
  ['nothing', '', /unexpected token/i, 0],
  ['half an expression', 'session.n >', /unexpected token/i],
  ['an unknown variable', 'session.n == 6 && user.id == 7', /unknown variable: user/i, 18],
  ['an unknown member of request', 'request.methd == "GET"', /request has no "methd".*method, path/],
  ['request as a whole', 'request == 1', /name a member of request/],
  ['request by a computed name', 'request[session.text] == "x"', /name a member of request/],
  ['a text', '"ops"', /comes out as string/],
  ['a number', '1 + 1', /comes out as int/],
  ['types that never fit', 'request.method == 7', /no such overload/],
  ['a header name in capitals', '"X-Team" in request.headers', /lower case here: "x-team"/, 0],
  ['a header name in capitals in brackets', 'request.headers["X-Team"] == "blue"', /lower case/],
  ['an unknown function', 'session.n == 6 && exec("x")', /no function exec/, 18],
  ['an unknown method', 'b"{}".json() == session', /no method json/],
  ['a method that CEL does not have', 'session.text.eval()', /no method eval/],
  ['a pattern from the session', 'request.path.matches(session.text)', /must be a literal/, 21],
  ['a pattern put together', 'request.path.matches("a" + "b")', /must be a literal/],
  ['a pattern that takes too long', 'request.path.matches("(a+)+$")', /too long/, 21],
  ['a pattern that takes too long, in a loop', 'session.roles.exists(r, r.matches("(a+)+$"))', /too long/],
  ['a pattern that takes too long, in has', 'cel.bind(x, session.text.matches("(a+)+$"), x)', /too long/],
  ['a loop in a loop', 'session.roles.all(r, session.mixed.exists(m, m == r))', /inside of a loop.*"r"/],
  ['a loop over a member that a loop chooses', 'session.a.exists(k, session.b[k].exists(x, x))', /inside of a loop/],
  ['a loop variable that hides the session', 'session.roles.exists(session, session == "ops")', /name of its own/],
  ['a loop variable that is none', 'session.roles.exists(1, true)', /invalid predicate iteration variable/],
  ['a bound variable that hides the request', 'cel.bind(request, 1, request == 1)', /name of its own/],
  ['too many characters', `session.n == ${' '.repeat(4096)}6`, /at most 4096/],
  ['too much depth', `${'('.repeat(60)}true${')'.repeat(60)}`, /maxDepth/],
  ['too many parts', Array(200).fill('session.n == 1').join(' || '), /maxAstNodes/],
]
for (const [why, text, message, offset] of problems) {
  test(`${why} is refused with a message and a place`, () => {
    assert.throws(
      () => compileExpression(text),
      (error) => {
        assert.ok(error instanceof ExpressionError)
        assert.match(error.message, message)
        if (offset !== undefined) assert.equal(error.offset, offset)
        assert.ok(error.offset >= 0 && error.offset <= text.length)
        return true
      },
    )
  })
}

test('a loop over what a loop is at is possible', () => {
  const data = sessionOf('{"groups": [{"roles": ["a"]}, {"roles": ["b", "ops"]}]}')
  const expression = compileExpression('session.groups.exists(g, g.roles.exists(r, r == "ops"))')
  assert.deepEqual(expression.evaluate(subject({ data })), { holds: true })
})

const unclear: [why: string, headers: string[], text: string][] = [
  ['bytes that readers read differently', ['X-Team', 'bl\xfce'], 'request.headers["x-team"] != "red"'],
  ['such bytes where the absence counts', ['X-Team', '\xff'], '!("x-team" in request.headers)'],
  ['such bytes though another reason holds', ['X-Team', '\xff'], 'request.headers["x-team"] == "x" || session.n == 6'],
  ['two lines that differ', ['X-Team', 'blue', 'x-team', 'red'], 'request.headers["x-team"] != "green"'],
  ['two lines that are the same', ['X-Team', 'blue', 'x-team', 'blue'], 'request.headers["x-team"] == "blue"'],
  ['a second spelling of the name', ['X-Team', 'blue', 'X_Team', 'red'], 'request.headers["x-team"] == "blue"'],
  ['another spelling alone', ['X_Team', 'red'], '!("x-team" in request.headers)'],
  ['anything at all, where all headers are looked at', ['X-Other', '\xff'], 'request.headers.exists(h, h == "x")'],
  ['two spellings, where all headers are looked at', ['X-A', '1', 'X_A', '2'], 'size(request.headers) == 2'],
]
for (const [why, headers, text] of unclear) {
  test(`a header that is unclear makes a no: ${why}`, () => {
    assert.deepEqual(compileExpression(text).evaluate(subject({ headers })), {
      holds: false,
      failure: 'header_unclear',
    })
  })
}

test('a header that the expression does not name may be what it likes', () => {
  const headers = ['X-Team', 'blue', 'X-Other', '\xff', 'X-Other', '1', 'X_Other', '2']
  assert.deepEqual(compileExpression('request.headers["x-team"] == "blue"').evaluate(subject({ headers })), {
    holds: true,
  })
  assert.deepEqual(compileExpression('session.n == 6').evaluate(subject({ headers })), { holds: true })
})

test('a value that is too deep or too long is an error only where it is looked at', () => {
  const deep = `${'['.repeat(20)}1${']'.repeat(20)}`
  const long = JSON.stringify(Array(1001).fill('x'))
  const wide = JSON.stringify(Object.fromEntries(Array.from({ length: 1001 }, (_, n) => [`k${n}`, n])))
  const data = sessionOf(
    `{"deep": ${deep}, "long": ${long}, "wide": ${wide}, "user": {"id": 7, "deep": ${deep}, "long": ${long}}}`,
  )
  assert.deepEqual(compileExpression('session.user.id == 7').evaluate(subject({ data })), { holds: true })
  const asked = [
    '"x" in session.long',
    'session.wide.k1 == 1',
    'session.user.long[0] == "x"',
    'session.deep == [[1]]',
    'session.deep[0][0][0][0][0][0][0][0][0] == [1]',
    'size(session.long) > 0',
  ]
  for (const text of asked) {
    const verdict = compileExpression(text).evaluate(subject({ data }))
    assert.deepEqual(verdict, { holds: false, failure: 'unsupported_type' }, text)
  }
})

test('a verdict never holds a value of the session', () => {
  const data = sessionOf('{"secret": "s3cr3t-canary", "other": 1}')
  const asked = [
    'bool(session.secret)',
    'session[session.secret] == 1',
    'int(session.secret) == 1',
    'timestamp(session.secret) == timestamp(0)',
  ]
  for (const text of asked) {
    const verdict = compileExpression(text).evaluate(subject({ data }))
    assert.equal(verdict.holds, false)
    assert.doesNotMatch(JSON.stringify(verdict), /canary/)
  }
})
