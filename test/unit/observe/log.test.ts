import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { type LogFields, type LogLevel, openLog } from '../../../src/observe/log.ts'

const folder = mkdtempSync(join(tmpdir(), 'sessiongate-log-'))
after(() => rmSync(folder, { recursive: true }))

/** What the log has written by the time it is closed. */
async function written(write: (log: ReturnType<typeof openLog>) => void, level: LogLevel = 'info'): Promise<string> {
  const path = join(folder, `${crypto.randomUUID()}.log`)
  const fd = openSync(path, 'w')
  const log = openLog({ fd, level, clock: () => Date.UTC(2026, 10, 23) })
  write(log)
  await log[Symbol.asyncDispose]()
  return readFileSync(path, 'utf8')
}

test('a line is one JSON object that begins with time, level and msg', async () => {
  const text = await written((log) => log.info('listening', { address: '127.0.0.1:8080', workers: 1, cut: undefined }))
  assert.equal(
    text,
    '{"time":"2026-11-23T00:00:00.000Z","level":"info","msg":"listening","address":"127.0.0.1:8080","workers":1}\n',
  )
})

test('a line without fields is whole too', async () => {
  const text = await written((log) => log.warn('store is up again'))
  assert.equal(text, '{"time":"2026-11-23T00:00:00.000Z","level":"warn","msg":"store is up again"}\n')
})

test('lines below the level are not written', async () => {
  const all = (log: ReturnType<typeof openLog>) => {
    log.debug('d')
    log.info('i')
    log.warn('w')
    log.error('e')
  }
  const expected: [LogLevel, string][] = [
    ['debug', 'diwe'],
    ['info', 'iwe'],
    ['warn', 'we'],
    ['error', 'e'],
  ]
  for (const [level, messages] of expected) {
    assert.equal(
      lines(await written(all, level))
        .map(({ msg }) => msg)
        .join(''),
      messages,
    )
  }
})

test('lines whose text is ready stand among the others as they come, below the level not at all', async () => {
  const write = (log: ReturnType<typeof openLog>) => {
    const [info, error] = [log.prepare('info', 'request'), log.prepare('error', 'request')]
    info('"status":200}')
    log.error('between', { n: 1 })
    error('"status":500,"path":"/"}')
  }
  const head = (level: string) => `{"time":"2026-11-23T00:00:00.000Z","level":"${level}","msg":`
  const rest = `${head('error')}"between","n":1}\n${head('error')}"request","status":500,"path":"/"}\n`
  assert.equal(await written(write), `${head('info')}"request","status":200}\n${rest}`)
  assert.equal(await written(write, 'warn'), rest)
})

function lines(text: string): { [name: string]: unknown }[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
}

test('whatever strangers send, it stays one line, and reads back as it was', async () => {
  const text = fc.string({
    unit: fc.oneof(fc.constantFrom('\n', '\r', '\u001b', '\u2028', '\u2029', '\u0085', '"', '\\'), fc.string()),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 20 }), async (texts) => {
      const log = await written((open) => {
        for (const agent of texts) open.info('request', { 'user_agent.original': agent })
      })
      assert.doesNotMatch(log, /[^\P{Cc}\n]|\p{Zl}|\p{Zp}/u, 'no control character but the line feed, no separator')
      assert.deepEqual(
        lines(log).map((line) => line['user_agent.original']),
        texts.map((agent) => (agent.toWellFormed() === agent ? agent : JSON.parse(JSON.stringify(agent)))),
      )
    }),
    { numRuns: 50 },
  )
})

test('an endless field does not make an endless line', async () => {
  const fields: LogFields = {
    path: '/'.repeat(1_000_000),
    keys: Array.from({ length: 5000 }, () => 'k'.repeat(5000)),
    facts: { deep: 'x'.repeat(100_000) },
    status: 404,
  }
  const text = await written((log) => log.info('request', fields))
  assert.ok(text.length < 60_000, `${text.length} characters`)
  const [line] = lines(text)
  assert.equal(line?.status, 404)
  assert.match(String(line?.path), /^\/{1024}…$/)
})

test('after closing, lines are counted as dropped and nothing throws', async () => {
  const fd = openSync(join(folder, 'closed.log'), 'w')
  const log = openLog({ fd })
  await log[Symbol.asyncDispose]()
  log.info('late')
  assert.equal(log.droppedLines, 1)
})

test('a descriptor that cannot be written to costs lines, not the process', async () => {
  const path = join(folder, 'readonly.log')
  closeSync(openSync(path, 'w'))
  const log = openLog({ fd: openSync(path, 'r'), closeTimeoutMs: 5000 })
  log.info('first')
  await log[Symbol.asyncDispose]()
  log.info('second')
  assert.equal(log.droppedLines, 1)
  assert.equal(readFileSync(path, 'utf8'), '')
})

test('a reader that stalls costs lines, never the writer: it goes on, counts the loss, and can still exit', async () => {
  const program = `
    import { openLog } from ${JSON.stringify(new URL('../../../src/observe/log.ts', import.meta.url).href)}
    const log = openLog({ maxWaitingBytes: 65536, closeTimeoutMs: 50 })
    for (let i = 0; i < 5000; i++) log.info('x'.repeat(100))
    await log[Symbol.asyncDispose]()
    process.stderr.write(String(log.droppedLines))
    process.exit(0)`
  // Nobody reads its stdout, and a pipe holds 64 KiB.
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const stderr = child.stderr.setEncoding('utf8').toArray()
  const [code] = await once(child, 'exit')
  child.stdout.destroy()
  assert.equal(code, 0)
  assert.ok(Number((await stderr).join('')) > 1000)
})
