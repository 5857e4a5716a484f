import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { type CommandNode, commandNodes } from '../../src/cli/command-tree.ts'
import { programTree } from '../unit/cli/command-run.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../docs/command-line.md'), 'utf8')

/** What the page says that all have. */
const ofAll = new Set(['--config', '--json', '--help'])
const ofLive = new Set(['--live', '--url', '--token-file'])

interface Row {
  readonly command: string
  readonly options: readonly string[]
  readonly asksGateway: boolean
  readonly asksElse: boolean
}

function rows(): Row[] {
  const [, section = ''] = page.split('\n## All commands\n')
  const cells = [...section.matchAll(/^\| `([a-z -]+)` \|(.*?)\|(.*?)\| (\S.*?) \|$/gm)]
  return cells.map(([, command = '', options = '', asks = '']) => ({
    command,
    options: [...options.matchAll(/`(--[a-z-]+)`/g)].map(([, flag = '']) => flag).toSorted(),
    asksGateway: /gateway/.test(asks),
    asksElse: /file|store/.test(asks),
  }))
}

function rowOf({ place, options }: CommandNode): Row {
  const flags = options.map(({ flag }) => flag)
  const isLive = flags.includes('--token-file')
  const own = flags.filter((flag) => !ofAll.has(flag) && flag !== '--version' && !(isLive && ofLive.has(flag)))
  return {
    command: place,
    options: own.toSorted(),
    asksGateway: flags.includes('--url'),
    asksElse: isLive ? flags.includes('--live') : flags.includes('--config') || flags.includes('--from'),
  }
}

test('docs/command-line.md has every command with its options and what it asks, and none that there is not', () => {
  const commands = commandNodes(programTree()).filter(({ commands }) => commands.length === 0)
  const byName = (a: Row, b: Row): number => (a.command < b.command ? -1 : 1)
  const written = rows().map((row) => (row.command === 'healthcheck' ? { ...row, asksElse: true } : row))
  assert.deepEqual(written.toSorted(byName), commands.map(rowOf).toSorted(byName))
})

test('every option that is a token’s takes a file', () => {
  for (const { place, options } of commandNodes(programTree()))
    for (const { flag, value } of options) if (/token/.test(flag)) assert.equal(value, 'file', `${place} ${flag}`)
})
