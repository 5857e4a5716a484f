import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { within } from './deadline.ts'

const server = resolve(import.meta.dirname, '../../examples/node-app/server.mjs')

export interface ExampleApp extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly origin: string
  readonly process: ChildProcess
}

/** `examples/node-app` as it is, in a process of its own. `folder`: where its gateway runs, and so where `var/` is. */
export async function startExampleApp(folder: string): Promise<ExampleApp> {
  const child = spawn(process.execPath, [server], {
    cwd: folder,
    env: { PORT: '0' },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const exited = once(child, 'exit')
  const [line] = (await within(
    'the example app to listen',
    once(createInterface({ input: child.stdout }), 'line'),
  )) as [string]
  return {
    origin: /http:\/\/[\d.:]+/.exec(line)?.[0] ?? '',
    process: child,
    async [Symbol.asyncDispose]() {
      child.kill()
      await within('the example app to end', exited)
    },
  }
}
