import assert from 'node:assert/strict'
import { parseHost, readHost } from '../../../src/http/host.ts'
import { type FuzzTarget, headerLines, unlessRefused } from '../fuzz-target.ts'

/** Host lines. One that is accepted is the same host to a URL parser, and its name and port are read as themselves. */
export const hostTarget: FuzzTarget = {
  name: 'host',
  seeds: [
    'Host: app.example.com',
    'host: A_b.example:8080',
    'Host: [0:0::1]:443',
    'Host: 127.0.0.1',
    'Host: a\nHost: b',
    'Host: [::ffff:1.2.3.4]',
    'Host: 0x7f.1',
  ],
  dictionary: [
    'Host:',
    '[::1]',
    ':80',
    '.',
    '..',
    '0x7f',
    '127.1',
    'xn--',
    '@',
    '%',
    '[',
    ']',
    'fe80::1%eth0',
    '_',
    '-',
  ],
  check(bytes) {
    const raw = headerLines(bytes.toString('latin1'))
    const host = unlessRefused(['ERR_HOST_INVALID'], () => readHost(raw, '1.1'))
    if (host === undefined) return
    const { name, port, received } = host
    assert.match(received, /^[\]A-Za-z0-9_.:[-]+$/)
    assert.equal(name, name.toLowerCase())
    const shown = port === undefined ? name : `${name}:${port}`
    assert.deepEqual(parseHost(shown), { ...host, received: shown })
    // What the URL standard refuses, such as bad Punycode, no browser can ask for.
    if (!URL.canParse(`http://${received}/`)) return
    const url = new URL(`http://${received}/`)
    assert.equal(url.hostname, name)
    assert.equal(url.port === '' ? 80 : Number(url.port), port ?? 80)
  },
}
