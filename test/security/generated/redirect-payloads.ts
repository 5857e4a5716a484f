import { readFileSync } from 'node:fs'
import type { Random } from '../../support/random.ts'

/** The list of known payloads, as it stands. */
export const knownPayloads: readonly string[] = readFileSync(
  new URL('../../vectors/open-redirects.txt', import.meta.url),
  'utf8',
)
  .split('\n')
  .filter((line) => line !== '')

const starts = [
  '/',
  '/',
  '/',
  '//',
  '///',
  '\\',
  '/\\',
  '\\/',
  '.',
  '..',
  '',
  '@',
  ':',
  '?',
  '#',
  ';',
  '%2f',
  '%5c',
  '\t/',
  '\n/',
  '%09/',
  '%0a',
  '%00',
  ' ',
  '\u00a0',
  '\u3002',
  '\ufeff',
  'https:',
  'http:',
  'HTTPS://',
  'javascript:',
  'data:',
  'blob:',
  '/..',
  '/.',
  '/;',
  '/%2e%2e',
  '/http:',
  'https:/',
  'https:\\',
]
const middles = [
  '/',
  '//',
  '\\',
  '\\\\',
  '%2f',
  '%252f',
  '%5c',
  '%255c',
  '%2F%2F',
  '\t',
  '\n',
  '\r',
  '%09',
  '%0d%0a',
  '%250a',
  '.',
  '..',
  '/../',
  '/./',
  '@',
  ':',
  ':80',
  ':@',
  '?',
  '#',
  '&',
  ';',
  '=',
  '%',
  '%u002f',
  '%c0%af',
  '%ef%bc%8f',
  '\uff0f',
  '\u2215',
  '\u3002',
  '\uff0e',
  '\u2028',
  '\u0000',
  '[',
  ']',
  '{',
  '"',
  '<',
  '`',
  '+',
  '%20',
  '|',
  '^',
]
const ends = [
  'evil.test',
  'evil.test',
  'app.test',
  'good.test',
  'app.test@evil.test',
  'good.test.evil.test',
  'evilgood.test',
  'good.test%2eevil.test',
  'evil%E3%80%82test',
  '0x7f.1',
  '[::1]',
  'alert(1)',
  'text/html,<script>1</script>',
  'login',
  'a',
  'www.evil.test/%2f..',
  'evil.test%23.good.test',
  'good.test:443@evil.test',
  'good.test:8443',
  'GOOD.test',
  'g\u043eod.test',
  'g%6fod.test',
]

/** Another payload with each call, made of what redirects are led astray with. */
export function createPayloads({ pick, below, chance }: Random): () => string {
  return function payload() {
    if (chance(0.3)) {
      const known = pick(knownPayloads)
      const at = below(known.length + 1)
      return chance(0.5)
        ? known.slice(0, at) + pick(middles) + known.slice(at)
        : known.slice(0, at) + known.slice(at + 1)
    }
    let text = pick(starts)
    for (let i = below(4); i > 0; i -= 1) text += pick(middles)
    text += pick(ends)
    for (let i = below(3); i > 0; i -= 1) text += pick(middles) + pick(ends)
    return text
  }
}

/** Decodes what is well-formed and leaves the rest. */
export function decodedLeniently(text: string): string {
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'))
}

/** What an app may take a value for that it finds in a query: as it stands, decoded, and decoded again. */
export function valuesIn(query: string, param: string): string[] {
  const raw = query
    .replace(/^\?/, '')
    .split(/[&;]/)
    .filter((pair) => decodedLeniently(pair.split('=', 1)[0] ?? '').toLowerCase() === param)
    .map((pair) => pair.slice(pair.indexOf('=') + 1))
  const parsed = [...new URLSearchParams(query)].filter(([name]) => name === param).map(([, value]) => value)
  return [...raw, ...parsed, ...raw.map(decodedLeniently), ...parsed.map(decodedLeniently)]
}
