import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { commandNodes } from '../../../src/cli/command-tree.ts'
import { cleanEnvironment, runCommand } from '../../support/command.ts'
import { programTree, runCommandLine } from './command-run.ts'

/** What may stand at the end of that line. Words as bash takes them. */
type Complete = (...words: string[]) => Promise<string[]>

let folder = ''
let complete: Complete

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sessiongate-completion-'))
  const { code, stdout } = await runCommandLine(['completion', 'bash'])
  assert.equal(code, 0)
  await writeFile(join(folder, 'sessiongate.bash'), stdout)
  await writeFile(join(folder, 'one of mine.yaml'), '')
  await writeFile(join(folder, 'other.yaml'), '')
  const script = `source ./sessiongate.bash
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "$(complete -p sessiongate | sed 's/.*-F \\([^ ]*\\) .*/\\1/')"
printf '%s\\n' "\${COMPREPLY[@]}"`
  complete = async (...words) => {
    const args = ['--noprofile', '--norc', '-c', script, 'bash', 'sessiongate', ...words]
    const { code, stdout, stderr } = await runCommand('bash', args, { cwd: folder, env: cleanEnvironment() })
    assert.deepEqual([code, stderr], [0, ''])
    return stdout.split('\n').filter((word) => word !== '')
  }
})

after(() => rm(folder, { recursive: true, force: true }))

describe('bash', () => {
  const cases: readonly [why: string, words: readonly string[], found: readonly string[]][] = [
    ['commands', ['se'], ['serve', 'sessions']],
    ['commands below a command', ['sessions', 're'], ['revoke']],
    ['their options', ['sessions', 'revoke', '--u'], ['--user', '--url']],
    ['options where nothing else can be known', ['schema', ''], ['--help']],
    ['no options where there are commands', ['upstreams', ''], ['list', 'drain', 'resume']],
    ['files', ['check', '--config', 'o'], ['one of mine.yaml', 'other.yaml']],
    ['files after =', ['check', '--config', '=', 'ot'], ['other.yaml']],
    ['files after = alone', ['check', '--config', '='], ['one of mine.yaml', 'other.yaml', 'sessiongate.bash']],
    ['choices of an option', ['keys', 'new', '--algorithm', 'E'], ['EdDSA', 'ES256']],
    ['choices of an argument', ['completion', ''], ['bash', 'zsh', 'fish']],
    ['nothing for what only somebody knows', ['sessions', 'list', '--user', ''], []],
    ['what comes after an option with its value', ['sessions', 'list', '--config', 'sessions', '--lim'], ['--limit']],
    ['a value is no command', ['keys', 'derive', '--upstream', 'new', '--k'], ['--key']],
    ['nothing where there is nothing such', ['sessions', 'frob'], []],
  ]
  for (const [why, words, found] of cases) {
    test(`is offered ${why}`, async () => {
      assert.deepEqual((await complete(...words)).toSorted(), found.toSorted())
    })
  }

  test('knows every command and option that there is', async () => {
    for (const { place, commands, options } of commandNodes(programTree())) {
      const path = place === '' ? [] : place.split(' ')
      if (commands.length > 0)
        assert.deepEqual(
          await complete(...path, ''),
          commands.map(({ name }) => name),
        )
      assert.deepEqual(
        await complete(...path, '--'),
        options.map(({ flag }) => flag),
      )
    }
  })
})

/** What stands in the scripts of shells that are not everywhere. */
describe('zsh and fish', () => {
  test('have every command, option, choice and file, with what it is for', async () => {
    const nodes = commandNodes(programTree())
    const { stdout: zsh } = await runCommandLine(['completion', 'zsh'])
    const { stdout: fish } = await runCommandLine(['completion', 'fish'])
    assert.match(zsh, /^#compdef sessiongate\n/)
    for (const { place, commands, options } of nodes) {
      assert.ok(zsh.includes(`    '${place}')\n`), place)
      for (const { name } of commands) {
        assert.ok(zsh.includes(`'${name}:`), name)
        assert.ok(fish.includes(`-n '__sessiongate_at \\'${place}\\'' -a '${name}' -d '`), `${place} ${name}`)
        assert.ok(fish.includes(`'${place}/${name}'`))
      }
      for (const { flag, value } of options) {
        assert.ok(zsh.includes(`'${flag}:`), flag)
        const after = { none: '', text: ' -x', file: ' -r -F', choice: ' -x -a' }[value]
        assert.ok(
          fish.includes(`-n '__sessiongate_at \\'${place}\\'' -l ${flag.slice(2)}${after} `),
          `${place} ${flag}`,
        )
      }
    }
    assert.ok(zsh.includes("'check/--config'") && zsh.includes(') _files ;;'))
    assert.ok(zsh.includes("'keys new/--algorithm') compadd -- 'HS256' 'EdDSA' 'ES256' ;;"))
  })

  test('have their quotes closed, whatever a description says', async () => {
    for (const shell of ['zsh', 'fish']) {
      const { stdout } = await runCommandLine(['completion', shell])
      const script = stdout.replaceAll(/^\s*#.*$/gm, '').replaceAll(/\\['\\]/g, '')
      for (const line of script.split('\n')) assert.equal((line.match(/'/g)?.length ?? 0) % 2, 0, line)
    }
  })
})

test('another shell is refused with those that there are', async () => {
  const { code, stderr } = await runCommandLine(['completion', 'tcsh'])
  assert.equal(code, 2)
  assert.match(stderr, /Allowed choices are bash, zsh, fish/)
})
