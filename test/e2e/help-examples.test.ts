import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { plainEnvironment } from '../support/command.ts'
import { within } from '../support/deadline.ts'
import { startExampleApp } from '../support/example-app.ts'
import { startGateway } from '../support/gateway.ts'
import { requireServer } from '../support/requirement.ts'
import { runCommandLine } from '../unit/cli/command-run.ts'
import { type CommandFolder, checkout, encoded, openCommandFolder } from './command-folder.ts'

/** The demo's file, which the examples name, on ports that are free. */
const demo = await readFile(join(checkout, 'config/sessiongate.yaml'), 'utf8')
const django = requireServer('django')
const freePorts = { LISTEN: '127.0.0.1:0', ADMIN_LISTEN: '127.0.0.1:0' }

/** Of the gateway that the examples ask. */
const token = 'the-token-of-this-test-0123456789'

interface Help {
  /** `sessions list`; '' for the program itself. */
  readonly command: string
  readonly text: string
  readonly subcommands: readonly string[]
  readonly examples: readonly string[]
}

async function helpOf(command: string): Promise<Help> {
  const words = command.split(' ').filter((word) => word !== '')
  const { code, stdout, stderr } = await runCommandLine([...words, '--help'])
  assert.equal(code, 0, stderr)
  const section = (title: string): string => stdout.split(`\n${title}:\n`)[1]?.split('\n\n')[0] ?? ''
  return {
    command,
    text: stdout,
    subcommands: [...section('Commands').matchAll(/^ {2}([a-z-]+)/gm)].flatMap(([, name = '']) =>
      name === 'help' ? [] : [name],
    ),
    examples: [...section('Example').matchAll(/^ {2}(\S.*)$/gm)].map(([, line = '']) => line),
  }
}

async function allHelp(command = ''): Promise<Help[]> {
  const help = await helpOf(command)
  const below = await Promise.all(help.subcommands.map((name) => allHelp(`${command} ${name}`.trim())))
  return [help, ...below.flat()]
}

/** The example with what it leaves to the reader put in: a session's id, an app's name, places for files. */
async function adapted(example: string, folder: CommandFolder): Promise<string> {
  const line = example
    .replaceAll(/\/(?:run\/secrets|tmp)\//g, `${folder.path}/`)
    .replace('--upstream legacy', '--upstream app')
    .replace(/--for \d+s$/, '--for 1s')
    .replace('/srv/shop', `${join(checkout, 'examples/django-app')} --python ${django.path} --force`)
  const [, from] = /< (\S+)$/.exec(line) ?? []
  if (from !== undefined) await folder.write(from.slice(folder.path.length + 1), encoded('{"userInfo":{"name":"Zoë"}}'))
  // A store, and another one to copy it to.
  if (line.includes('config/old.yaml')) {
    await folder.write('config/old.yaml', demo)
    await folder.write('config/new.yaml', demo.replace('session:\n', 'session:\n  engine: file\n  file_path: ./var\n'))
  }
  if (line.includes('sessions index')) {
    await folder.write('config/indexed.yaml', demo.replace('session:\n', 'session:\n  user_index: true\n'))
    return `${line} --config config/indexed.yaml`
  }
  const [id] = /\b[\w-]{22}\b/.exec(line) ?? []
  return id === undefined ? line : line.replace(id, (await folder.store('{"userInfo":{"name":"Ada"}}')).id)
}

/** `serve` ends when it is told to, and not before. */
async function serveAndStop(folder: CommandFolder, example: string): Promise<number | null> {
  const [, ...args] = example.split(' ')
  const child = spawn(process.execPath, [join(checkout, 'src/main.ts'), ...args], {
    cwd: folder.path,
    env: { ...plainEnvironment(), ...freePorts },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  try {
    const exit = once(child, 'exit')
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const next = async () => JSON.parse(String((await within('a line of the log', lines.next(), 30_000)).value))
    assert.equal((await next()).msg, 'listening')
    // The sockets open a moment before it listens for signals; whoever gets an answer comes after that.
    assert.equal((await fetch(`http://${(await next()).address}/readyz`)).status, 200)
    child.kill('SIGTERM')
    const [code] = await within('the end of serve', exit)
    return code
  } finally {
    child.kill('SIGKILL')
  }
}

test('every example that --help shows can be run as it is shown, and ends well', async (t) => {
  await using folder = await openCommandFolder(demo)
  const guarded = demo.replace('\nadmin:\n', `\nadmin:\n  token: ${token}\n`)
  assert.notEqual(guarded, demo)
  await using app = await startExampleApp(folder.path)
  await using gateway = await startGateway({ config: guarded, env: freePorts })
  const helps = await allHelp()
  assert.ok(helps.length >= 32, `only ${helps.length} commands were found`)
  for (const { command, text, subcommands, examples } of helps) {
    await t.test(`sessiongate ${command}`, async () => {
      if (subcommands.length === 0) assert.ok(examples.length > 0, `--help of ${command} shows no example`)
      assert.match(text, /^Usage: sessiongate/)
      for (const example of examples) {
        if (example.startsWith('sessiongate serve')) {
          assert.equal(await serveAndStop(folder, example), 0)
          continue
        }
        const operator = gateway.operatorUrl.slice('http://'.length)
        if (example.includes('/srv/shop') && django.skip !== false) continue
        const line = (await adapted(example, folder)).replace('http://127.0.0.1:8000/', `${app.origin}/`)
        const settings = { APP: app.origin, SECRET_KEY: 'of the project', SESSIONGATE_ADMIN_TOKEN: token }
        const { code, stderr } = await folder.run(line, { ...freePorts, ADMIN_LISTEN: operator, ...settings })
        assert.equal(code, 0, `${line}\n${stderr}`)
      }
    })
  }
})
