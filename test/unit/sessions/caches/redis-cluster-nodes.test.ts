import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseClusterNodes, parseSlotOwners } from '../../../../src/sessions/caches/redis-cluster-nodes.ts'

const lines = {
  first: 'aaa 10.0.0.1:6379@16379 master - 0 1700000000000 1 connected 0-5460',
  second:
    'bbb 10.0.0.2:6379@16379,b.example.com,,shard-id=x myself,master - 0 0 2 connected 5461 5463-16383 [5462->-aaa]',
  replica: 'ccc 10.0.0.3:6379@16379, slave aaa 0 1700000000000 1 connected',
  empty: 'ddd 10.0.0.4:7000@17000 master - 0 1700000000000 0 connected',
}
const nodes = (...of: string[]) => `${of.join('\n')}\n`

test('the masters of a cluster are those with slots and those that could be given some', () => {
  const view = parseClusterNodes(nodes(lines.first, lines.second, lines.replica, lines.empty))
  assert.deepEqual(view, {
    self: 'bbb',
    masters: [
      { id: 'aaa', ip: '10.0.0.1', port: 6379, hostname: '' },
      { id: 'bbb', ip: '10.0.0.2', port: 6379, hostname: 'b.example.com' },
      { id: 'ddd', ip: '10.0.0.4', port: 7000, hostname: '' },
    ],
    layout: 'aaa 0-5460\nbbb 5461 5463-16383\nddd ',
  })
})

const counted: [why: string, flags: string, slots: string, isCounted: boolean][] = [
  ['a replica is not', 'slave', '', false],
  ['one that is not known yet is not', 'master,handshake', '', false],
  ['one that failed and has no slots is not', 'master,fail', '', false],
  ['one without an address and slots is not', 'master,noaddr', '', false],
  ['one that failed with its slots is: nobody else has them', 'master,fail', ' 16384', true],
  ['one that may have failed is', 'master,fail?', '', true],
]
for (const [why, flags, slots, isCounted] of counted) {
  test(`a server is counted as a master of the cluster or not: ${why}`, () => {
    const view = parseClusterNodes(nodes(lines.second, `eee 10.0.0.5:1@2 ${flags} - 0 0 0 connected${slots}`))
    assert.equal(view?.masters.length, isCounted ? 2 : 1)
  })
}

test('the layout is the same text whoever is asked, and another one when a slot has moved', () => {
  const asked = (...of: string[]) => parseClusterNodes(nodes(...of))?.layout
  const other = [
    'bbb 172.16.0.2:6379@16379 master - 0 0 2 connected 5461 5463-16383',
    'aaa :6379@16379 myself,master - 0 0 1 connected 0-5460 [5460-<-bbb]',
  ]
  assert.equal(asked(lines.first, lines.second), asked(...other))
  assert.notEqual(asked(lines.first, lines.second), asked(lines.first.replace('5460', '5459'), lines.second))
  assert.notEqual(asked(lines.first, lines.second), asked(lines.first, lines.second, lines.empty))
})

test('addresses of IPv6 are read, and an empty one of the server itself', () => {
  const view = parseClusterNodes(nodes('aaa 2001:db8::1:6379@16379 master - 0 0 1 connected 0'))
  assert.equal(view, undefined, 'nobody says who is asked')
  const own = parseClusterNodes(
    nodes('aaa 2001:db8::1:6379@16379 master - 0 0 1 connected 0', 'bbb :1@2 myself,master - 0 0 0 c'),
  )
  assert.deepEqual(
    own?.masters.map(({ ip, port }) => [ip, port]),
    [
      ['2001:db8::1', 6379],
      ['', 1],
    ],
  )
})

test('what is no list of servers is none', () => {
  for (const text of ['', 'OK', 'aaa nowhere master - 0 0 1 connected', 'aaa 10.0.0.1:6379 myself,master'])
    assert.equal(parseClusterNodes(text), undefined, text)
})

test('owners of slots are called as clients shall call them', () => {
  const reply = [
    [
      0,
      99,
      [Buffer.from('a.example.com'), 6379, Buffer.from('aaa'), []],
      [Buffer.from('10.0.0.3'), 1, Buffer.from('ccc')],
    ],
    [100, 199, [null, 7000, Buffer.from('bbb'), []]],
    [200, 299, [Buffer.from('?'), 7001, Buffer.from('ddd'), []]],
  ]
  assert.deepEqual(
    parseSlotOwners(reply),
    new Map([
      ['aaa', { host: 'a.example.com', port: 6379 }],
      ['bbb', { host: '', port: 7000 }],
      ['ddd', { host: '', port: 7001 }],
    ]),
  )
  for (const other of [null, 'OK', [[0, 1]], [[0, 1, ['a', '6379', 'b']]]])
    assert.equal(parseSlotOwners(other), undefined)
})
