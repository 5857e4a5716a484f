import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { compileTrust } from '../../../src/http/addresses.ts'
import { forwardedLines, readForwarded } from '../../../src/http/forwarded.ts'
import { parseHost } from '../../../src/http/host.ts'
import { type FuzzTarget, headerLines } from '../fuzz-target.ts'

const host = { name: 'app.example.com', received: 'app.example.com' }
const trust = compileTrust(['10.0.0.0/8', '::1/128'])

/**
 * What proxies tell of the browser's side. A stranger's word changes nothing; a trusted proxy's word makes an address that
 * is one, an origin as a browser would write it, and lines that hold neither line breaks nor an unreadable host.
 */
export const forwardedTarget: FuzzTarget = {
  name: 'forwarded',
  seeds: [
    'X-Forwarded-For: 203.0.113.9, 10.0.0.2\nX-Forwarded-Proto: https\nX-Forwarded-Host: a.example\nX-Forwarded-Port: 8443',
    'Forwarded: for="[2001:db8::1]:4711";proto=https;host=a.example, for=10.0.0.1',
    'X-Forwarded-For: unknown, ::ffff:10.0.0.9, [::1]:80, 1.2.3.4:99999\nX-Request-Id: abc',
    'Forwarded: for=_hidden;host="a\\"b"\nX-Forwarded-Proto: wss, ws',
  ],
  dictionary: [
    'X-Forwarded-For: ',
    'X-Forwarded-Host: ',
    'X-Forwarded-Port: ',
    'X-Forwarded-Proto: ',
    'Forwarded: ',
    'X-Request-Id: ',
    'for=',
    'host=',
    'proto=',
    '10.0.0.1',
    '::ffff:10.0.0.1',
    '[::1]',
    ':443',
    'https',
    ', ',
    '"',
    '\\',
    ';',
    '%eth0',
    '\n',
  ],
  check(bytes) {
    // The listener's parser lets no control character but the tab into a value.
    const raw = headerLines(bytes.toString('latin1').replace(/[^\t\n\x20-\x7e\x80-\xff]/g, ''))
    const arrival = { isTrusted: trust, isTls: false, host }
    const stranger = { ...arrival, peer: '192.0.2.7' }
    assert.deepEqual(readForwarded(raw, stranger), readForwarded([], stranger))
    for (const peer of ['10.1.2.3', '::1']) {
      const facts = readForwarded(raw, { ...arrival, peer })
      assert.ok(isIP(facts.clientIp) > 0 && !facts.clientIp.includes('%'), facts.clientIp)
      assert.equal(new URL(facts.origin).origin, facts.origin)
      assert.equal(new URL(facts.origin).protocol, `${facts.scheme}:`)
      assert.notEqual(parseHost(facts.host), undefined)
      assert.ok(facts.port >= 0 && facts.port <= 65535)
      assert.equal(facts.hops.at(-1), peer)
      for (const text of [...forwardedLines(facts), facts.requestId ?? 'x']) assert.match(text, /^[ -~\x80-\xff\t]+$/)
      // Whoever is next and trusts us reads the same visitor from what we write.
      const next = readForwarded(forwardedLines(facts), { ...arrival, peer: '10.9.9.9' })
      assert.deepEqual([next.clientIp, next.scheme, next.origin], [facts.clientIp, facts.scheme, facts.origin])
    }
  },
}
