// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what these files hold.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { loadConfig } from '../../src/config/loading.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { exampleEnv, exampleFiles } from './example-files.ts'

const examples = exampleFiles().map(({ text }) => text.replace(/^ *#.*\n/gm, ''))

/** Words that mean something somewhere in the format, put where they mean nothing. */
const words: readonly string[] = [
  ...'null true none [] {} * /* / // 0 -1 1e400 .nan 0s 14d 64KiB "" x-a http:// unix: ::/0 *.example.com'.split(' '),
  ...'[::1]:80 __proto__ constructor ${A} $ "${ %41 %zz " \' { } [ ] é'.split(' '),
  ...['a b', '\n', ': ', '- ', ', ', '&a ', '*a', '!t ', '|\n', '<<: *a', '# ', '\u0000', '\ud800'],
]

const word = fc.constantFrom(...words)

interface Edit {
  readonly at: number
  readonly length: number
  readonly text: string
}

const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat(4000),
  length: fc.constantFrom(0, 0, 1, 2, 5, 10, 30),
  text: fc.oneof(word, word, fc.constant(''), fc.string({ maxLength: 5 })),
})

function edited(text: string, edits: readonly Edit[]): string {
  return edits.reduce((changed, { at, length, text: inserted }) => {
    const start = at % (changed.length + 1)
    return changed.slice(0, start) + inserted + changed.slice(start + length)
  }, text)
}

test('whatever a file has become, it is loaded, or refused with lines; nothing else happens', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...examples),
      fc.array(edit, { minLength: 1, maxLength: 4 }),
      async (text, edits) => {
        const bytes = Buffer.from(edited(text, edits), 'utf8')
        const readFile = async (path: string) => {
          if (path === '/gate.yaml') return bytes
          throw Object.assign(new Error('not here'), { code: 'ENOENT' })
        }
        try {
          const { config } = await loadConfig({ path: '/gate.yaml', env: exampleEnv, readFile })
          assert.ok(config.routes.every(({ upstream }) => config.upstreams.has(upstream)))
        } catch (error) {
          assert.ok(error instanceof ConfigError, inspect(error))
          assert.ok(error.problems.some(({ severity }) => severity === 'error'))
          for (const problem of error.problems) assert.ok((problem.line ?? 0) >= 1)
        }
      },
    ),
    { numRuns: 1000 },
  )
})
