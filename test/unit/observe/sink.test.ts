import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { openSink } from '../../../src/observe/sink.ts'

const folder = mkdtempSync(join(tmpdir(), 'sessiongate-sink-'))
after(() => rmSync(folder, { recursive: true }))

function numbered(count: number, length = 700): string[] {
  return Array.from({ length: count }, (_, i) => `${`${i} `.padEnd(length - 1, i % 7 === 0 ? '€' : 'x')}\n`)
}

/** A program with a sink of its own on stdout. */
function runWith(program: string): ChildProcess {
  const url = new URL('../../../src/observe/sink.ts', import.meta.url).href
  const text = `import { openSink } from ${JSON.stringify(url)}\nconst sink = openSink(1, { maxWaiting: 8e6, gatherMs: 5 })\n${program}`
  return spawn(process.execPath, ['--input-type=module-typescript', '-e', text], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

test('lines come whole and in order, whether they come in one turn or in many, few or many at a time', async () => {
  for (const [perTurn, gatherMs] of [
    [1, 5],
    [3, 0],
    [3, 5],
    [1000, 5],
  ] as const) {
    const path = join(folder, `${perTurn}-${gatherMs}.log`)
    const sink = openSink(openSync(path, 'w'), { maxWaiting: 8e6, gatherMs })
    const lines = numbered(1000)
    for (const [i, line] of lines.entries()) {
      sink.write(line)
      if (i % perTurn === 0) await setImmediate()
    }
    await sink.close(1000)
    assert.equal(readFileSync(path, 'utf8'), lines.join(''))
    assert.equal(sink.droppedLines, 0)
  }
})

test('a line after silence is written without being asked for, and without a second one', async () => {
  const path = join(folder, 'single.log')
  const sink = openSink(openSync(path, 'w'), { maxWaiting: 8e6, gatherMs: 5 })
  for (const expected of ['a\n', 'a\nb\n']) {
    sink.write(expected.slice(-2))
    const deadline = performance.now() + 5000
    while (readFileSync(path, 'utf8') !== expected && performance.now() < deadline) await setTimeout(1)
    assert.equal(readFileSync(path, 'utf8'), expected)
  }
  await sink.close(1000)
})

test('what waits is bounded, and what is over is counted line by line', async () => {
  const path = join(folder, 'bounded.log')
  const sink = openSink(openSync(path, 'w'), { maxWaiting: 5 * 700, gatherMs: 5 })
  const lines = numbered(9)
  for (const line of lines) sink.write(line)
  sink.write('short\n')
  assert.equal(sink.droppedLines, 5)
  await sink.close(1000)
  assert.equal(readFileSync(path, 'utf8'), lines.slice(0, 5).join(''))
})

test('closing closes the descriptor, and leaves nothing at the process', async () => {
  const before = process.listenerCount('exit')
  const fd = openSync(join(folder, 'closed.log'), 'w')
  const sink = openSink(fd, { maxWaiting: 1000, gatherMs: 5 })
  sink.write('line\n')
  await sink.close(1000)
  await sink.close(1000)
  assert.throws(() => fstatSync(fd), { code: 'EBADF' })
  assert.equal(process.listenerCount('exit'), before)
})

const ends: [why: string, program: string][] = [
  ['it ends itself', 'process.exit(0)'],
  ['nothing is left to do', ''],
  ['of an error that nobody caught', 'queueMicrotask(() => { throw new Error() })'],
]
for (const [why, program] of ends) {
  test(`a process writes its last lines when ${why}`, async () => {
    const child = runWith(`for (let i = 0; i < 100; i++) sink.write(i + '\\n')\n${program}`)
    const said = child.stdout?.setEncoding('utf8').toArray()
    await once(child, 'exit')
    assert.equal((await said)?.join(''), Array.from({ length: 100 }, (_, i) => `${i}\n`).join(''))
  })
}

test('a pipe that is full and does not wait costs no line that may wait', async () => {
  // With `process.stdout` Node makes the pipe one that does not wait.
  const child = runWith(`
    process.stdout.write('')
    for (let i = 0; i < 6000; i++) sink.write((i + ' ').padEnd(700, 'x') + '\\n')
    await sink.close(20000)
    process.exit(sink.droppedLines)`)
  const { stdout } = child
  assert.ok(stdout)
  const exited = once(child, 'exit')
  const said: string[] = []
  for await (const chunk of stdout.setEncoding('utf8')) {
    said.push(chunk)
    if (said.length % 10 === 1) await setTimeout(2)
  }
  assert.deepEqual((await exited)[0], 0)
  assert.equal(said.join(''), Array.from({ length: 6000 }, (_, i) => `${`${i} `.padEnd(700, 'x')}\n`).join(''))
})

test('a reader that is gone ends the writing, not the process', async () => {
  const child = runWith(`
    const timer = setInterval(() => sink.write('line\\n'), 1)
    while (sink.droppedLines < 10) await new Promise((done) => setTimeout(done, 5))
    clearInterval(timer)
    await sink.close(1000)`)
  child.stdout?.destroy()
  const [code] = await once(child, 'exit')
  assert.equal(code, 0)
})
