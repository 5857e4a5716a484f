import type { RedisFailure } from './redis-failure.ts'
import type { NoticeConnection } from './redis-notice-connection.ts'
import type { RedisSocket } from './redis-servers.ts'

/** A server that notices have to come from. */
export interface NoticeSource {
  /** The same for the same server at the same address. */
  readonly name: string
  readonly socket: RedisSocket
  /** Whether any key may be written here, so that a line can be tried out; not so in a cluster. */
  readonly takesAnyKey: boolean
  /**
   * Asks the server whether sessions still are changed on it; `key` is one that nothing lies under. False: they are, but
   * there are others than we knew of.
   *
   * @throws {RedisFailure} they are not, or it does not say.
   */
  check(connection: NoticeConnection, key: string): Promise<boolean>
}

/** Which servers sessions may be changed on. */
export interface NoticeSources {
  /**
   * Finds them (again). From then on it is them that `check` and `beat` compare with.
   *
   * @throws {RedisFailure} they cannot be found.
   */
  find(): Promise<readonly NoticeSource[]>
  /** Asks those who know whether these still are the ones. */
  beat(atMs: number): void
  /** At the `beat` of that moment these were the ones. Infinity where nobody else is to be asked. */
  readonly shownAtMs: number
  close(): void
}

/** Where what `NoticeSources` learns between two calls is told. */
export interface NoticeSourcesListener {
  /** `shownAtMs` has grown. */
  readonly onShown: () => void
  /** They are to be found anew; an operator is told why. */
  readonly onOutdated: (reason: RedisFailure) => void
}

/** One server, at the address that it always has. */
export function createOneSource(socket: RedisSocket): NoticeSources {
  const source = sourceAt(socket)
  return {
    find: async () => [source],
    beat() {},
    shownAtMs: Number.POSITIVE_INFINITY,
    close() {},
  }
}

/** A server outside of a cluster. */
export function sourceAt(socket: RedisSocket): NoticeSource {
  return {
    name: socket.kind === 'unix' ? socket.path : `${socket.host} ${socket.port}`,
    socket,
    takesAnyKey: true,
    // Nothing to a master; a replica refuses it (READONLY), in the same state in which it would keep notices waiting for
    // its own master. Unlike ROLE and INFO it needs no right that reading and deleting sessions does not need too.
    async check(connection, key) {
      await connection.call('del', key)
      return true
    },
  }
}
