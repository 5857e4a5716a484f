import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { RedisServers } from '../../src/sessions/caches/redis-servers.ts'

/** Answers a command with bytes as they stand on the wire (`-LOADING …\r\n`); undefined: keeps silent. */
export type RedisScript = (name: string, args: readonly string[], socket: Socket) => string | undefined

export interface ScriptedRedis extends AsyncDisposable {
  readonly port: number
  readonly servers: Extract<RedisServers, { kind: 'redis' }>
  /** The commands so far, in capitals. */
  readonly commands: readonly string[]
  /** Connections accepted so far. */
  readonly connections: number
  /** What it answers from now on. */
  script: RedisScript
}

/** What a server with no users answers to the first command of a client of RESP3. */
export const helloReply = '%1\r\n$5\r\nproto\r\n:3\r\n'

/** A server that speaks as much of RESP as it needs to read commands, and says what a script tells it to. */
export async function startScriptedRedis(script: RedisScript): Promise<ScriptedRedis> {
  const commands: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    let rest = ''
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      rest += chunk.toString('latin1')
      for (let command = takeCommand(rest); command; command = takeCommand(rest)) {
        rest = command.rest
        const [name = '', ...args] = command.words
        commands.push(name.toUpperCase())
        const reply = scripted.script(name.toUpperCase(), args, socket)
        if (reply !== undefined) socket.write(reply, 'latin1')
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const scripted: ScriptedRedis = {
    port,
    servers: { kind: 'redis', server: { kind: 'tcp', host: '127.0.0.1', port } },
    commands,
    get connections() {
      return sockets.size
    },
    script,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return scripted
}

/** The first whole command of the bytes, an array of bulk strings, and what follows it. */
function takeCommand(bytes: string): { words: string[]; rest: string } | undefined {
  const head = /^\*(\d+)\r\n/.exec(bytes)
  if (!head) return undefined
  let at = head[0].length
  const words: string[] = []
  for (let i = 0; i < Number(head[1]); i++) {
    const length = /^\$(\d+)\r\n/.exec(bytes.slice(at, at + 20))
    if (!length) return undefined
    const begin = at + length[0].length
    const end = begin + Number(length[1])
    if (bytes.length < end + 2) return undefined
    words.push(bytes.slice(begin, end))
    at = end + 2
  }
  return { words, rest: bytes.slice(at) }
}
