import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { describe, test } from 'node:test'
import { eventWithin, until, within } from '../../support/deadline.ts'
import { type FakeGateway, openFakeServer } from './command-run.ts'

interface Stream {
  readonly gateway: FakeGateway
  /** The next one who watches. */
  watcher(): Promise<ServerResponse>
}

/** A gateway whose stream says what the test says. */
async function openStream(): Promise<Stream & AsyncDisposable> {
  const arrivals = new EventEmitter()
  const waiting: ServerResponse[] = []
  const gateway = await openFakeServer((asked) => (request, response) => {
    asked.push(`${request.method} ${request.url}`)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(': requests as they end\n\n')
    waiting.push(response)
    arrivals.emit('watcher')
  })
  return {
    gateway,
    async watcher() {
      while (waiting.length === 0) await eventWithin(arrivals, 'watcher')
      return waiting.shift() as ServerResponse
    },
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  }
}

function request(path: string, status = 200): string {
  const line = {
    time: '2026-11-23T14:01:07.114Z',
    'url.path': path,
    'http.response.status_code': status,
    'http.route': 'app',
  }
  return `event: request\ndata: ${JSON.stringify(line)}\n\n`
}

describe('tail', () => {
  test('shows requests as they end: lines on a terminal, JSON elsewhere; Ctrl-C ends it well', async () => {
    for (const columns of [undefined, 80]) {
      await using stream = await openStream()
      const tail = stream.gateway.start(['tail'], columns === undefined ? {} : { columns, env: { NO_COLOR: '1' } })
      const watcher = await stream.watcher()
      watcher.write(request('/a\u009b'))
      watcher.write(request('/b', 503))
      await until('both are shown', () => tail.stdout().trimEnd().split('\n').length === 2)
      tail.interrupt()
      const { code, stdout, stderr } = await within('the end of tail', tail.ended)
      assert.deepEqual([code, stderr], [0, ''])
      const lines = stdout.trimEnd().split('\n')
      if (columns === undefined) {
        assert.deepEqual(
          lines.map((line) => JSON.parse(line)['url.path']),
          ['/a\u009b', '/b'],
        )
        assert.ok(stdout.includes('/a\\u009b'))
      } else {
        assert.match(lines[0] ?? '', /^14:01:07\.114 {2}200 .* \/a\\u009b {2}app/)
        assert.match(lines[1] ?? '', /^14:01:07\.114 {2}503 .* \/b {2}app/)
      }
    }
  })

  test('on a terminal gives JSON where it is asked for', async () => {
    await using stream = await openStream()
    const tail = stream.gateway.start(['tail', '--json'], { columns: 80 })
    ;(await stream.watcher()).write(request('/a'))
    await until('it is shown', () => tail.stdout() !== '')
    tail.interrupt()
    assert.equal(JSON.parse((await tail.ended).stdout)['url.path'], '/a')
  })

  test('shows only what is asked for', async () => {
    await using stream = await openStream()
    const tail = stream.gateway.start(['tail', '--status', '5xx', '--path', '/a/*', '--route', 'app'])
    const watcher = await stream.watcher()
    for (const [path, status] of [
      ['/a', 200],
      ['/b', 500],
      ['/a/x', 503],
    ] as const)
      watcher.write(request(path, status))
    await until('one is shown', () => tail.stdout() !== '')
    tail.interrupt()
    const { stdout } = await tail.ended
    assert.deepEqual(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)['url.path']),
      ['/a/x'],
    )
  })

  test('says how many were left out', async () => {
    await using stream = await openStream()
    const tail = stream.gateway.start(['tail'])
    ;(await stream.watcher()).write('event: left_out\ndata: {"count":1200}\n\n')
    await until('it is told', () => tail.stderr() !== '')
    tail.interrupt()
    const { code, stderr } = await tail.ended
    assert.deepEqual([code, stderr], [0, '1,200 requests were left out: they come faster than they are read here\n'])
  })

  test('ends with 1 and says so when the gateway goes, well or not', async () => {
    for (const isCut of [false, true]) {
      await using stream = await openStream()
      const tail = stream.gateway.start(['tail'])
      const watcher = await stream.watcher()
      if (isCut) watcher.destroy()
      else watcher.end()
      const { code, stderr } = await within('the end of tail', tail.ended)
      assert.equal(code, 1)
      assert.match(
        stderr,
        isCut ? /has closed the connection/ : /has ended the stream: it stops, or its admin has changed/,
      )
    }
  })

  test('ends with 0 after the time that it was given', async () => {
    await using stream = await openStream()
    const { code, stdout, stderr } = await within('the end of tail', stream.gateway.run(['tail', '--for', '50ms']))
    assert.deepEqual([code, stdout, stderr], [0, '', ''])
  })

  for (const [option, text] of [
    ['--status', '6xx'],
    ['--path', 'admin'],
    ['--for', 'soon'],
  ] as const) {
    test(`does not begin with ${option} ${text}`, async () => {
      await using stream = await openStream()
      assert.equal((await stream.gateway.run(['tail', option, text])).code, 2)
      assert.deepEqual(stream.gateway.asked, [])
    })
  }
})
