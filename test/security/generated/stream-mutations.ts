import type { Random } from '../../support/random.ts'

/** What parsers of messages stumble over; lines, pieces of lines, and bytes. */
const tokens = [
  ...[
    '\r\n',
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    '\n\n',
    '\r\r\n',
    '\0',
    ' ',
    '\t',
    '\x0b',
    '\x0c',
    '\x7f',
    '\x80',
    '\xff',
  ],
  ...[
    ':',
    ';',
    ',',
    '=',
    '"',
    '0',
    '1',
    '5',
    '00',
    '+',
    '-',
    '0x',
    '_',
    '%0d%0a',
    '\r\n ',
    '\r\n\t',
    'a'.repeat(3000),
    'A: b\r\n'.repeat(40),
  ],
  ...[
    'Content-Length: 5\r\n',
    'Content-Length: 0\r\n',
    'Content-Length: 4',
    'content-length:5\r\n',
    'Content_Length: 3\r\n',
  ],
  ...[
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding:\tchunked\r\n',
    'Transfer-Encoding: identity\r\n',
    'transfer-encoding: x, chunked\r\n',
  ],
  ...[
    'Connection: close\r\n',
    'Connection: Content-Length\r\n',
    'Connection: Transfer-Encoding, Host\r\n',
    'Keep-Alive: timeout=1\r\n',
  ],
  ...[
    'Expect: 100-continue\r\n',
    'Upgrade: websocket\r\nConnection: Upgrade\r\n',
    'Upgrade: h2c\r\n',
    'TE: trailers\r\n',
    'Trailer: X\r\n',
  ],
  ...[
    'Host: y\r\n',
    'Host:\r\n',
    'X: y\r\n',
    'Cookie: a=b\r\n',
    'X-HTTP-Method-Override: POST\r\n',
    'Content-Encoding: gzip\r\n',
  ],
  ...[
    '0\r\n\r\n',
    '0\r\n',
    '5\r\nhello\r\n',
    '3;a="\r\n"\r\n',
    'ffffffffffffffff\r\n',
    '-1\r\n',
    '5 \r\n',
    '05\r\n',
    '0;a\r\nX: y\r\n\r\n',
  ],
  ...[
    'HTTP/1.0',
    'HTTP/1.1',
    'HTTP/2.0',
    'GET ',
    'HEAD ',
    'POST ',
    'CONNECT ',
    'OPTIONS * HTTP/1.1\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ],
]

/** One mistake, somewhere. */
export function mutated(text: string, { pick, below }: Random): string {
  const at = below(text.length + 1)
  // Most of what matters stands in the head, near its lines' ends.
  const line = text.indexOf('\r\n', at)
  const place = below(2) === 0 || line < 0 ? at : line + pick([0, 0, 2, 2, 1])
  switch (below(8)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1)
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + below(12))
    case 2:
      return text.slice(0, at) + String.fromCharCode(below(256)) + text.slice(at + 1)
    case 3:
      return text.slice(0, at) + text.slice(at, at + below(40)) + text.slice(at)
    default:
      return text.slice(0, place) + pick(tokens) + text.slice(place)
  }
}
