import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { within } from './deadline.ts'

/** A port of 127.0.0.1 on which a connection is never made and never refused: connecting hangs. */
export interface FullPort extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly origin: string
}

const program = `require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () {
  console.log(this.address().port)
})`

/** A stopped process listens there, and the few connections that the system makes for it on its own are taken already. */
export async function startFullPort(): Promise<FullPort> {
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await within('a port', once(createInterface({ input: child.stdout }), 'line'))
  child.kill('SIGSTOP')
  const port = Number(line)
  const sockets = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => undefined))
  await within('the first of them', once(sockets[0] ?? child, 'connect'))
  return {
    origin: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}
