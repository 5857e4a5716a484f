import assert from 'node:assert/strict'
import { readTarget, type Target } from '../../../src/http/target.ts'
import { type FuzzTarget, unlessRefused } from '../fuzz-target.ts'

const host = { name: 'app.example.com', received: 'app.example.com' }
const refusals = ['ERR_TARGET_INVALID', 'ERR_TARGET_TOO_LONG']

/**
 * Request targets. One that is accepted goes up as it came and is read the same again; its normal form has the same
 * normal form; it does not lead a URL parser to another host; and what simple readers make of it is among its readings.
 */
export const pathTarget: FuzzTarget = {
  name: 'target',
  seeds: [
    '/',
    '/a/b?c=d#e',
    '/a;x=1/%41%2F%252e/./../B//',
    'http://app.example.com:80/x?y',
    '*',
    '/%E2%84%AA%C0%AF%00',
    '/a%5Cb\\c',
    // Broken once: a NUL that came out only after the third decoding.
    '/a%25%2530%2530',
    'http://app.example.com?y',
  ],
  dictionary: [
    '..',
    '/../',
    '%2e',
    '%2f',
    '%5c',
    '%25',
    '%00',
    '%23',
    '%3f',
    '//',
    ';',
    '\\',
    '%c0%af',
    '%e0%80%ae',
    'http://app.example.com',
    ':80',
    '@',
    '%3B',
    'A',
    '%C3%89',
    '%E1%BA%9E',
  ],
  check(bytes) {
    const text = bytes.toString('latin1')
    const target = unlessRefused(refusals, () => readTarget(text, host))
    if (target === undefined) return
    // Of an absolute form without a path the root is meant.
    assert.ok(text.endsWith(target.received.slice(1)), 'the received bytes go up')
    assert.deepEqual(readTarget(target.received, host), target)
    assert.equal(readTarget(target.path, host).path, target.path)
    assert.equal(new URL(`http://app.example.com${target.received}`).host, 'app.example.com')
    for (const reading of target.readings) assert.ok(reading.startsWith('/'), reading)
    checkReadings(target)
  },
}

/** Readers of an app's kind, written without a look at ours. */
const readers: readonly ((path: string) => string)[] = [
  (path) => path.replace(/;[^/]*/g, ''),
  (path) => path.split(';', 1)[0] ?? '',
  (path) => (path.length > 1 ? path.replace(/\/+$/, '') || '/' : path),
  (path) => path.replace(/[A-Z%]+/g, (part) => (part.includes('%') ? part : part.toLowerCase())),
]

function checkReadings({ path, ambiguous, received, readings }: Target): void {
  const all = new Set([path, ...readings])
  for (const reader of readers) if (!path.includes('%')) assert.ok(all.has(reader(path)), `not read as ${reader(path)}`)
  if (ambiguous) return
  const [receivedPath = ''] = received.split('?', 1)
  assert.doesNotMatch(decodedThrice(receivedPath), /\/\/|\/\.\.?(?:[/;?#]|$)|[\\\0]/, 'it can be read in two ways')
}

function decodedThrice(path: string): string {
  const once = (text: string) =>
    text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return once(once(once(path)))
}
