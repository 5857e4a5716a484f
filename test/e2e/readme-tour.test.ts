import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { startExampleApp } from '../support/example-app.ts'
import { startGateway } from '../support/gateway.ts'
import { checkout, openCommandFolder } from './command-folder.ts'

interface Step {
  readonly command: string
  /** What the page shows below it; `…` stands for anything, alone on a line for any lines. */
  readonly shown: string
}

/** The commands of the tour, in the order of the page. */
function stepsOf(page: string): Step[] {
  const [, tour = ''] = /\n## A tour of five minutes\n([\s\S]*?)\n## /.exec(page) ?? []
  const blocks = [...tour.matchAll(/^```console\n([\s\S]*?)^```/gm)].map(([, block = '']) => block)
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [command = '', ...lines] = part.split('\n')
        return { command, shown: lines.join('\n').trimEnd() }
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

const hasCurl = spawnSync('curl', ['--version']).status === 0

test('the tour of the README goes as it says', { skip: hasCurl ? false : 'curl is needed' }, async () => {
  const demo = await readFile(join(checkout, 'config/sessiongate.yaml'), 'utf8')
  const steps = stepsOf(await readFile(join(checkout, 'README.md'), 'utf8'))
  assert.ok(steps.length >= 13)

  await using folder = await openCommandFolder(demo)
  await using app = await startExampleApp(folder.path)
  const env = { APP: app.origin, LISTEN: '127.0.0.1:0', ADMIN_LISTEN: '127.0.0.1:0' }
  await using gateway = await startGateway({ config: demo, folder: folder.path, env })
  const here = (command: string): string =>
    command
      .replaceAll('http://127.0.0.1:8080', gateway.url)
      .replaceAll('http://127.0.0.1:8000', app.origin)
      .replaceAll('http://127.0.0.1:9901', gateway.operatorUrl)
      .replaceAll('npm run -s sessiongate --', 'sessiongate')

  // One shell for all of them: the reader has one, too, and keeps a variable in it.
  const mark = '=====next====='
  const script = steps.map(({ command }) => `${here(command)}\nprintf '\\n${mark}\\n'`).join('\n')
  const { stdout, stderr } = await folder.run(script)
  const outputs = stdout.replaceAll('\r', '').split(`\n${mark}\n`)
  for (const [at, { command, shown }] of steps.entries()) {
    if (shown === '') assert.equal(outputs[at], '', command)
    else assert.match(`${outputs[at]?.trimEnd()}\n`, matcherOf(shown), `${command}\n${stderr}`)
  }
})
