import assert from 'node:assert/strict'
import { turns, within } from '../support/deadline.ts'
import { startEvil } from '../support/evil-upstream.ts'
import { bytesOf, failureOf, requestTo, testEach, textOf } from '../support/proxied.ts'

const chunked = 'Transfer-Encoding: chunked'
const malformed = 'ERR_UPSTREAM_PROTOCOL http_protocol_error'

const refusedHeads: [why: string, head: string, failure?: string][] = [
  ['no HTTP at all', 'hello\r\n\r\n'],
  ['another version', 'HTTP/1.2 200 OK\r\n\r\n'],
  ['status below 100', 'HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n'],
  ['status above 599', 'HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n'],
  ['status 999', 'HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n'],
  ['four digits', 'HTTP/1.1 2000 X\r\nContent-Length: 0\r\n\r\n'],
  ['an unasked 101', 'HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbytes'],
  ['an unasked 101 without its lines', 'HTTP/1.1 101 X\r\n\r\nbytes'],
  ['an unasked 100', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['length and chunked', `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n${chunked}\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
  ['chunked and length', `HTTP/1.1 200 OK\r\n${chunked}\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
  ['two equal lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabc'],
  ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc'],
  ['a signed length', 'HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc'],
  ['a length with zeros before it', 'HTTP/1.1 200 OK\r\nContent-Length: 003\r\n\r\nabc'],
  ['an empty length', 'HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n'],
  ['a length beyond all numbers', 'HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc'],
  ['a length that no number holds exactly', 'HTTP/1.1 200 OK\r\nContent-Length: 9007199254740993\r\n\r\nabc'],
  ['a coding that would be lost', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc'],
  ['a coding below chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  ['chunked not last', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n'],
  ['chunked twice', `HTTP/1.1 200 OK\r\n${chunked}\r\n${chunked}\r\n\r\n0\r\n\r\n`],
  ['nearly chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n'],
  ['a space within a name', 'HTTP/1.1 200 OK\r\nX A: b\r\nContent-Length: 0\r\n\r\n'],
  ['an empty name', 'HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 0\r\n\r\n'],
  ['a line without a colon', 'HTTP/1.1 200 OK\r\nfoo\r\nContent-Length: 0\r\n\r\n'],
  ['a folded line', 'HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n'],
  ['a NUL', 'HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n'],
  ['a DEL', 'HTTP/1.1 200 OK\r\nX-A: b\x7fc\r\nContent-Length: 0\r\n\r\n'],
  ['an escape', 'HTTP/1.1 200 OK\r\nX-A: b\x1bc\r\nContent-Length: 0\r\n\r\n'],
  ['a bare CR', 'HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 0\r\n\r\n'],
  ['bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
  [
    'a head of 33 KiB in one line',
    `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(33 * 1024)}\r\nContent-Length: 0\r\n\r\n`,
    'ERR_UPSTREAM_PROTOCOL http_response_header_section_size',
  ],
  [
    'a head of 33 KiB in many lines',
    `HTTP/1.1 200 OK\r\n${'X: aaaaaaaaaaaaaaa\r\n'.repeat(2112)}Content-Length: 0\r\n\r\n`,
    'ERR_UPSTREAM_PROTOCOL http_response_header_section_size',
  ],
  [
    '17 interim answers',
    `${'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(17)}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`,
  ],
]

for (const [why, head, failure = malformed] of refusedHeads) {
  testEach(`an answer is refused and its connection closed: ${why}`, async (openTo) => {
    await using evil = await startEvil([head], ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfresh'])
    await using upstream = openTo(evil.origin, { retries: 3 })
    assert.equal(await failureOf(upstream.forward(requestTo())), failure)
    await within('the connection to be closed', (await evil.connection(0)).closed)
    assert.equal(evil.connections.length, 1, 'what was answered is not asked again')
    const next = await upstream.forward(requestTo())
    assert.equal(await textOf(next.body), 'fresh')
    assert.equal(evil.connections.length, 2)
  })
}

const acceptedAnswers: [
  why: string,
  bytes: string,
  expected: { status?: number; reason?: string; body?: string; length?: number },
][] = [
  ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc', { body: 'abc', length: 3 }],
  ['chunks', `HTTP/1.1 200 OK\r\n${chunked}\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`, { body: 'abcde' }],
  [
    'chunked in capitals',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    { body: 'abc' },
  ],
  ['chunk extensions', `HTTP/1.1 200 OK\r\n${chunked}\r\n\r\n3;a=b;c\r\nabc\r\n0;x\r\n\r\n`, { body: 'abc' }],
  [
    'trailers, which are dropped',
    `HTTP/1.1 200 OK\r\nTrailer: X-T\r\n${chunked}\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n`,
    { body: 'abc' },
  ],
  ['HTTP/1.0 with a length', 'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc', { body: 'abc', length: 3 }],
  [
    'no reason, for which the standard one stands',
    'HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n',
    { status: 404, reason: 'Not Found', length: 0 },
  ],
  ['a reason of its own', 'HTTP/1.1 200 Fine by me\r\nContent-Length: 0\r\n\r\n', { reason: 'Fine by me', length: 0 }],
  ['a reason that is not ASCII', 'HTTP/1.1 200 \xe9\xff\r\nContent-Length: 0\r\n\r\n', { reason: '', length: 0 }],
  ['an unregistered status', 'HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n', { status: 599, reason: 'X', length: 0 }],
  [
    'upgrade lines beside a 200',
    'HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\na',
    { body: 'a', length: 1 },
  ],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n', { status: 204, reason: 'No Content', length: 0 }],
  [
    '204 with a length',
    'HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc',
    { status: 204, reason: 'No Content', length: 0 },
  ],
  [
    '304 with the length of what is not sent',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n',
    { status: 304, reason: 'Not Modified', length: 0 },
  ],
  [
    'a coded body, left as it is',
    'HTTP/1.1 200 OK\r\nContent-Encoding: gzip, br\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08',
    { body: '\x1f\x8b\x08', length: 3 },
  ],
  [
    'an answer cut into single bytes',
    'HTTP/1.1 404 Not Found\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabc',
    { status: 404, reason: 'Not Found', body: 'abc', length: 3 },
  ],
]

for (const [why, bytes, expected] of acceptedAnswers) {
  testEach(`an answer is passed on: ${why}`, async (openTo) => {
    await using evil = await startEvil(async (connection) => {
      await connection.head()
      if (!why.includes('single bytes')) return connection.send(bytes)
      for (const byte of bytes) {
        await connection.send(byte)
        await turns(1)
      }
    })
    await using upstream = openTo(evil.origin)
    const { status, reason, body, contentLength, server, attempts } = await upstream.forward(requestTo())
    const received = {
      status,
      reason,
      body: (await bytesOf(body)).toString('latin1'),
      length: contentLength,
      server,
      attempts,
    }
    const defaults = {
      status: 200,
      reason: 'OK',
      body: '',
      length: undefined,
      server: `127.0.0.1:${evil.port}`,
      attempts: 1,
    }
    assert.deepEqual(received, { ...defaults, ...expected })
  })
}

testEach('a body without a length ends with the connection', async (openTo) => {
  for (const version of ['1.0', '1.1']) {
    await using evil = await startEvil(async (connection) => {
      await connection.head()
      await connection.send(`HTTP/${version} 200 OK\r\n\r\nall of it`)
      connection.end()
    })
    await using upstream = openTo(evil.origin)
    const answer = await upstream.forward(requestTo())
    assert.equal(answer.contentLength, undefined)
    assert.equal(await textOf(answer.body), 'all of it')
  }
})

testEach(
  'header lines come back in order and case, duplicates apart, bytes unchanged, framing gone',
  async (openTo) => {
    const lines = [
      'X-B: 1',
      'set-cookie: a=1',
      'x-b:  2 \t ',
      'Set-Cookie: b=\xe9\xff\x80',
      'SET-COOKIE: a=2',
      '__proto__: x',
      'X-E:',
    ]
    const head = ['HTTP/1.1 200 OK', ...lines, 'Trailer: X-T', 'tRansfer-encoding: chunked'].join('\r\n')
    await using evil = await startEvil([`${head}\r\n\r\n0\r\n\r\n`])
    await using upstream = openTo(evil.origin)
    const { headers, body } = await upstream.forward(requestTo())
    assert.deepEqual(headers, [
      ...['X-B', '1', 'set-cookie', 'a=1', 'x-b', '2', 'Set-Cookie', 'b=\xe9\xff\x80', 'SET-COOKIE', 'a=2'],
      ...['__proto__', 'x', 'X-E', ''],
    ])
    assert.equal(await textOf(body), '')
  },
)

testEach('a head of almost 32 KiB is read', async (openTo) => {
  const value = 'a'.repeat(32 * 1024 - 20)
  await using evil = await startEvil([`HTTP/1.1 200 OK\r\nX-A: ${value}\r\nContent-Length: 0\r\n\r\n`])
  await using upstream = openTo(evil.origin)
  const { headers, body } = await upstream.forward(requestTo())
  assert.deepEqual(headers.slice(0, 2), ['X-A', value])
  await bytesOf(body)
})

testEach(
  'an answer to HEAD has the length of the body that is not sent, and bytes after it are nobody’s answer',
  async (openTo) => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'
    await using evil = await startEvil([`${head}stray`], [`${head}fresh`])
    await using upstream = openTo(evil.origin)
    const answer = await upstream.forward(requestTo({ method: 'HEAD' }))
    assert.deepEqual(answer.headers, ['Content-Length', '5'])
    assert.equal(answer.contentLength, 0)
    assert.equal(await textOf(answer.body), '')
    const next = await upstream.forward(requestTo())
    assert.equal(await textOf(next.body), 'fresh')
    assert.equal(evil.connections.length, 2)
  },
)

testEach('up to 16 interim answers are told of, with their lines', async (openTo) => {
  const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n'
  await using evil = await startEvil([`${interim.repeat(8)}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`])
  await using upstream = openTo(evil.origin)
  const told: unknown[] = []
  const answer = await upstream.forward(requestTo({ onInformation: (...args) => void told.push(args) }))
  assert.equal(await textOf(answer.body), 'ok')
  assert.equal(told.length, 16)
  assert.deepEqual(told.slice(0, 2), [
    [103, ['Link', '</a>', 'Link', '</b>']],
    [102, []],
  ])
})
