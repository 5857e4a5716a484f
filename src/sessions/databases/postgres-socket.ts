import { Socket } from 'node:net'

/**
 * A socket whose listeners may throw. `pg` reads the server's messages in a listener and throws there when they make no
 * sense: unheard, that would end the process. Here it ends the connection, as any other failure of it does.
 */
export class PostgresSocket extends Socket {
  override emit(event: string | symbol, ...values: unknown[]): boolean {
    try {
      return super.emit(event, ...values)
    } catch (error) {
      this.destroy(error instanceof Error ? error : undefined)
      return true
    }
  }
}
