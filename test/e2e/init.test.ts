import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtempDisposable, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CliContext } from '../../src/cli/context.ts'
import { runProgram } from '../../src/cli/program.ts'
import { requireServer } from '../support/requirement.ts'
import { checkout, openCommandFolder } from './command-folder.ts'

const unused = (): never => assert.fail('init has no use for it')

interface Outcome {
  readonly code: number
  readonly printed: string
  readonly told: string
  readonly questions: readonly string[]
}

/** Runs `init` in this process, with that folder as `--config`'s; `answers`: what is typed, line by line. */
async function init(
  config: string,
  args: readonly string[],
  { answers, env = {} }: { answers?: readonly string[]; env?: Record<string, string> } = {},
): Promise<Outcome> {
  let [printed, told] = ['', '']
  const questions: string[] = []
  const typed = [...(answers ?? [])]
  const context: CliContext = {
    env,
    print: (text) => {
      printed += text
    },
    tell: (text) => {
      told += text
    },
    ask:
      answers &&
      (async (question) => {
        questions.push(question)
        return typed.shift() ?? assert.fail(`nobody answers ${question}`)
      }),
    isTerminal: answers !== undefined,
    version: '0',
    ...{ readStdin: unused, onInterrupt: unused, pause: unused, openGateway: unused, openFleet: unused },
    ...{ openSessionTools: unused, decode: unused, readGeneratedSigningKey: unused, explain: unused },
    storeExaminations: unused,
  }
  const code = await runProgram(['init', '--config', config, ...args], context)
  return { code, printed, told, questions }
}

test('three questions, and Enter takes what stands in brackets', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-init-'))
  const config = join(folder.path, 'a/sessiongate.yaml')
  const { code, questions, printed, told } = await init(config, [], { answers: ['', '', ''] })
  assert.equal(code, 0, told)
  assert.deepEqual(questions, [
    'Where does the app listen? [http://127.0.0.1:8000] ',
    'On which page do users log in? [/login] ',
    'Where are sessions kept: sqlite, redis://… or postgres://…? [sqlite] ',
  ])
  assert.match(printed, /^written: .*sessiongate\.yaml\n[\s\S]*next:\n {2}sessiongate check/)
  const text = await readFile(config, 'utf8')
  assert.match(text, /servers: \[http:\/\/127\.0\.0\.1:8000\]/)
  assert.match(text, /sqlite:\.\/var\/sessiongate\.sqlite3/)
})

test('an answer that is none is asked for again; a password that is typed stands in a file of its own', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-init-'))
  const config = join(folder.path, 'sessiongate.yaml')
  const answers = ['app', '127.0.0.1:9000', 'login', '/in', 'mysql://x/y', ' redis://:geheim@r.internal:6379/2 ']
  const { code, told, questions, printed } = await init(config, [], { answers })
  assert.equal(code, 0, told)
  assert.equal(questions.length, 6)
  assert.equal(told.split('\n').length, 4)
  const text = await readFile(config, 'utf8')
  assert.ok(!`${text}${printed}${told}`.includes('geheim'))
  const secret = join(folder.path, 'secrets/store-url')
  assert.equal(await readFile(secret, 'utf8'), 'redis://:geheim@r.internal:6379/2\n')
  assert.equal((await stat(secret)).mode & 0o777, 0o600)
  assert.equal(await readFile(join(folder.path, 'secrets/.gitignore'), 'utf8'), '*\n')
})

test('nothing is written over, unless it is said so; a key that is there stays even then', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-init-'))
  const config = join(folder.path, 'sessiongate.yaml')
  const args = ['--store', 'redis://127.0.0.1:6379/0']
  assert.equal((await init(config, args)).code, 0)
  const key = await readFile(join(folder.path, 'secrets/signing-key'), 'utf8')
  await writeFile(config, 'mine')
  const again = await init(config, args)
  assert.deepEqual([again.code, again.printed], [1, ''])
  assert.match(again.told, /sessiongate\.yaml is there already; --force/)
  assert.equal(await readFile(config, 'utf8'), 'mine')
  assert.equal((await init(config, [...args, '--force'])).code, 0)
  assert.notEqual(await readFile(config, 'utf8'), 'mine')
  assert.equal(await readFile(join(folder.path, 'secrets/signing-key'), 'utf8'), key)
})

test('takes no key, and no folder for secrets, that any user of the machine could have put there', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-init-'))
  const [secrets, config] = [join(folder.path, 'secrets'), join(folder.path, 'sessiongate.yaml')]
  await mkdir(secrets)
  const key = join(secrets, 'secret-key')
  await writeFile(key, `${'planted'.repeat(10)}\n`)
  for (const [open, closed, path] of [
    [0o777, 0o755, secrets],
    [0o1777, 0o755, secrets],
    [0o666, 0o600, key],
  ] as const) {
    await chmod(path, open)
    const { code, told } = await init(config, ['--store', 'redis'])
    assert.equal(code, 1, path)
    assert.match(told, /can be written by every user of this machine/)
    assert.deepEqual(await readdir(folder.path, { recursive: true }), ['secrets', 'secrets/secret-key'])
    await chmod(path, closed)
  }
  assert.equal((await init(config, ['--store', 'redis'])).code, 0)
})

test('a link that lies in the place of the file is not followed', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-init-'))
  const config = join(folder.path, 'sessiongate.yaml')
  await writeFile(join(folder.path, 'victim'), 'untouched')
  await symlink(join(folder.path, 'victim'), config)
  assert.equal((await init(config, [])).code, 1)
  assert.equal((await init(config, ['--force'])).code, 0)
  assert.equal(await readFile(join(folder.path, 'victim'), 'utf8'), 'untouched')
})

test('options that cannot be used end it with 2, and a password among the arguments is refused', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sessiongate-init-'))
  const cases: [args: string[], says: RegExp][] = [
    [['--app', 'ftp://x'], /write http:\/\/host:port/],
    [['--login', 'login'], /write a path such as \/login/],
    [['--store', 'mysql://x'], /write sqlite, redis/],
    [['--store', 'postgres://u:geheim@h/d'], /others can read it there/],
    [['--store', `\${NOWHERE}`], /holds no address of a store/],
    [['--store', `\${file:/nowhere}`], /holds no address of a store/],
    [['--from-django', folder.path], /manage\.py cannot be read \(ENOENT\)/],
    [['--from-django', '.', '--store', 'sqlite'], /the project says where/],
  ]
  for (const [args, says] of cases) {
    const { code, told } = await init(join(folder.path, 'x.yaml'), args)
    assert.equal(code, 2, `${args}`)
    assert.match(told, says)
    assert.ok(!told.includes('geheim'))
  }
  const { code, told } = await init(join(folder.path, 'x.yaml'), ['--store', `\${STORE}`], {
    env: { STORE: 'postgres://u:geheim@h/d' },
  })
  assert.equal(code, 0, told)
  assert.match(await readFile(join(folder.path, 'x.yaml'), 'utf8'), /url: "\$\{STORE\}"/)
})

const python = requireServer('python')
test('on a real terminal it asks, and somebody who leaves gets no file', { skip: python.skip }, async () => {
  await using folder = await openCommandFolder('')
  const dialogue = (typed: string) => `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(${JSON.stringify(process.execPath)}, ["node", ${JSON.stringify(join(checkout, 'src/main.ts'))}, "init", "--config", "new.yaml"])
said, typed = b"", ${typed}
while True:
    try:
        part = os.read(terminal, 1024)
    except OSError:
        break
    said += part
    while typed and said.count(b"] ") > 3 - len(typed):
        os.write(terminal, typed.pop(0))
    if not part:
        break
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`
  await folder.write('leave.py', dialogue('[b"\\n", b"\\x04", b""]'))
  const left = await folder.run(`"${python.path}" leave.py`)
  assert.equal(left.code, 1, left.stdout)
  assert.match(left.stdout, /nobody answered/)
  await assert.rejects(stat(join(folder.path, 'new.yaml')))
  await folder.write('answer.py', dialogue('[b"127.0.0.1:9000\\n", b"\\n", b"\\n"]'))
  const answered = await folder.run(`"${python.path}" answer.py`)
  assert.equal(answered.code, 0, answered.stdout)
  assert.match(answered.stdout, /written: new\.yaml/)
  assert.match(await readFile(join(folder.path, 'new.yaml'), 'utf8'), /http:\/\/127\.0\.0\.1:9000/)
})
