import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempDisposable, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { plainEnvironment, runCommand } from '../support/command.ts'
import { findFreePort } from '../support/postgres.ts'
import { requireServer } from '../support/requirement.ts'

const checkout = resolve(import.meta.dirname, '../..')
const main = join(checkout, 'src/main.ts')
const page = await readFile(join(checkout, 'docs/first-steps.md'), 'utf8')
const hasCurl = spawnSync('curl', ['--version']).status === 0
const php = requireServer('php')
const django = requireServer('django')

interface Step {
  /** With its here-document. */
  readonly command: string
  /** What the page shows below it; `…` stands for anything, alone on a line for any lines. */
  readonly shown: string
}

function stepsOf(section: string): Step[] {
  const [, text = ''] = page.split(`\n## ${section}\n`)
  const [here = ''] = text.split('\n## ')
  const blocks = [...here.matchAll(/^```console\n([\s\S]*?)^```/gm)].map(([, block = '']) => block)
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [, command = '', shown = ''] = /^(.*<<'END'\n[\s\S]*?\nEND\n|.*\n)([\s\S]*)$/.exec(part) ?? []
        return { command: command.trimEnd(), shown: shown.trimEnd() }
      }),
  )
}

function matcherOf(shown: string): RegExp {
  const lines = shown.split('\n').map((line) => {
    if (line === '…') return '(?:.*\\n)*?'
    return `${line.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&').replaceAll('…', '.*')}\\n`
  })
  return new RegExp(`^${lines.join('')}$`)
}

const mark = '=====next====='

/** What runs on is waited for, as a reader does without noticing; what it says is not the next command's. */
function scriptLine({ command }: Step): string {
  if (!command.endsWith(' &')) return `{ ${command}\n} 2>&1`
  const [, port] = /127\.0\.0\.1:(\d+)/.exec(command) ?? []
  const wait = `curl -s -o /dev/null --retry 200 --retry-delay 1 --retry-max-time 60 --retry-connrefused http://127.0.0.1:${port}/`
  return `{ ${command}\n} >/dev/null 2>&1${port === undefined ? '' : `; ${wait}`}`
}

/** All commands of a section in one shell, in an empty folder, on ports that are free. */
async function walk(section: string, replace: readonly (readonly [string, string])[] = []): Promise<void> {
  const ports = new Map<string, number>()
  for (const port of ['8000', '8001', '8080', '9901']) ports.set(port, await findFreePort())
  const here = (text: string): string => text.replace(/\b(8000|8001|8080)\b/g, (port) => String(ports.get(port)))
  const written = stepsOf(section)
  assert.ok(written.length >= 10)
  const steps = written.map(({ command, shown }) => ({
    command: replace.reduce((text, [from, to]) => text.replace(from, to), here(command)),
    shown: here(shown),
  }))
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-steps-'))
  // The operator's port stands in the file only, and init takes none.
  const sessiongate = `sessiongate() {
    [ "$1" != init ] || set -- "$@" --listen 127.0.0.1:${ports.get('8080')}
    "${process.execPath}" "${main}" "$@"; local code=$?
    [ "$1" != init ] || sed -i 's/:9901/:${ports.get('9901')}/' */sessiongate.yaml
    return $code
  }`
  const lines = steps.map((step) => `${scriptLine(step)}\nprintf '\\n${mark}\\n'`)
  const script = [`trap 'kill $(jobs -p)' EXIT`, sessiongate, ...lines].join('\n')
  const env = { ...plainEnvironment(), PATH: `${dirname(php.path)}:${process.env.PATH}`, PYTHONDONTWRITEBYTECODE: '1' }
  const { stdout, stderr } = await runCommand('bash', ['-c', script], { cwd: folder.path, env, deadlineMs: 250_000 })
  const outputs = stdout.replaceAll('\r', '').split(`\n${mark}\n`)
  for (const [at, { command, shown }] of steps.entries()) {
    const output = outputs[at]?.trimEnd() ?? ''
    if (shown === '') assert.equal(output, '', command)
    else if (!command.endsWith(' &')) assert.match(`${output}\n`, matcherOf(shown), `${command}\n${stderr}`)
  }
}

test(
  'from an empty folder to a protected app: every command shows what the page says',
  {
    skip: hasCurl ? php.skip : 'curl is needed',
  },
  () => walk('Any app'),
)

test(
  'from the settings of a Django project to a protected one: every command shows what the page says',
  {
    skip: hasCurl ? django.skip : 'curl is needed',
  },
  () =>
    walk('A Django project', [
      // The same environment, without asking the network for it.
      ['python3 -m venv .venv', `ln -s ${dirname(dirname(django.path))} .venv`],
      [".venv/bin/pip install --quiet 'Django==5.2.*'", 'true'],
    ]),
)
