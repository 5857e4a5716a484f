import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import type { CliContext } from '../../../src/cli/context.ts'
import { runProgram } from '../../../src/cli/program.ts'

async function keysNew(isTerminal: boolean, ...args: string[]) {
  const [stdout, stderr]: [string[], string[]] = [[], []]
  const unused = () => assert.fail('no part of it')
  const context: CliContext = {
    env: {},
    print: (text) => void stdout.push(text),
    tell: (text) => void stderr.push(text),
    readStdin: unused,
    isTerminal,
    onInterrupt: unused,
    pause: unused,
    version: '0',
    openGateway: unused,
    openFleet: unused,
    openSessionTools: unused,
    decode: unused,
    readGeneratedSigningKey: unused,
    explain: unused,
    storeExaminations: unused,
  }
  const code = await runProgram(['keys', 'new', ...args], context)
  return { code, stdout: stdout.join(''), stderr: stderr.join('') }
}

test('a new key comes with its entry for the file where somebody watches, and the key is not in that', async () => {
  const cases: [algorithm: string, member: string][] = [
    ['HS256', 'secret'],
    ['EdDSA', 'private_key'],
  ]
  for (const [algorithm, member] of cases) {
    const { code, stdout, stderr } = await keysNew(true, '--algorithm', algorithm)
    const [entry] = parse(stderr).keys
    assert.deepEqual([code, Object.keys(entry)], [0, ['id', 'created', member]])
    assert.match(entry.created, /^\d{4}-\d\d-\d\d$/)
    assert.equal(entry.id, entry.created)
    assert.ok(stdout.length > 40 && !stderr.includes(stdout.trim()))
  }
})

test('and alone where nobody does', async () => {
  const { stdout, stderr } = await keysNew(false)
  assert.deepEqual([stdout.length, stderr], [65, ''])
})
