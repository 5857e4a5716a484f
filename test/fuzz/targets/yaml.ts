import assert from 'node:assert/strict'
import { ConfigError } from '../../../src/config/problem.ts'
import { readSource } from '../../../src/config/source.ts'
import { loadText, MINIMAL } from '../../config/sample.ts'
import type { FuzzTarget } from '../fuzz-target.ts'

/**
 * Configuration files. Every text is loaded or ends in a `ConfigError` whose lines are in the file; what was read without
 * complaint is read as the same when it is written as JSON.
 */
export const yamlTarget: FuzzTarget = {
  name: 'yaml',
  seeds: [
    MINIMAL,
    'version: 1\nx-a: &a [1, 2]\nx-b: *a\n',
    'a: "\\u00e9"\nb: |\n  text\nc: {d: [e, null, 1e3]}\n',
    '%YAML 1.1\n---\na: !!binary x\n',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference of the configuration, not of JavaScript.
    'a: ${B:-c}\n<<: *x\na: 2\n--- b\n',
  ],
  dictionary: [
    'version: 1',
    'routes:',
    'upstreams:',
    '&a ',
    '*a',
    '<<: ',
    '!!',
    '---\n',
    '${',
    '${file:',
    '"',
    "'",
    '|\n',
    '>-\n',
    '{',
    '}',
    '[',
    ']',
    ': ',
    '- ',
    '\n  ',
    '\t',
    '#',
    '? ',
    '%YAML 1.2',
    '__proto__',
    '14d',
    '1e9',
  ],
  async check(bytes) {
    const text = bytes.toString('utf8')
    const source = readSource(text, 'gate.yaml')
    for (const { range } of source.findings) if (range !== undefined) checkRange(range, text)
    if (source.isWellFormed && source.findings.length === 0) {
      const again = readSource(JSON.stringify(source.tree), 'gate.yaml')
      assert.deepEqual([again.findings, again.tree], [[], source.tree])
    }
    try {
      await loadText(text)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      assert.ok(error.problems.length > 0)
    }
  },
}

function checkRange(range: readonly [number, number, ...number[]], text: string): void {
  assert.ok(range[0] >= 0 && range[0] <= range[1] && range[1] <= text.length + 2, String(range))
}
