import type { Tunnel } from '../proxy/tunnel.ts'

/** While a WebSocket is open, its session is looked at again at least this often. */
const RECHECK_MS = 60_000
/** After a look that failed, the next one. */
const RETRY_MS = 5_000
/** RFC 6455, section 7.4.1. */
const POLICY_VIOLATION = 1008
const GOING_AWAY = 1001
const END_WORDS = 'the gateway is shutting down'

export interface GuardedTunnel {
  readonly tunnel: Tunnel
  /** Whether the route would still admit the one who opened it; throws when that cannot be told. */
  readonly isAdmitted: () => Promise<boolean>
  /** Calls back at each notice that the session changed; returns the way to stop. */
  readonly watch: (onNotice: () => void) => () => void
}

/** Every open WebSocket: `node:http` has let go of their sockets and cannot close them, so somebody must. */
export interface Tunnels {
  add(guarded: GuardedTunnel): void
  /** The rules may be others now, and the sessions kept elsewhere: each is watched anew and looked at. */
  renew(): void
  /** Ends all of them politely (1001). */
  endAll(): void
}

/**
 * Holds the open WebSockets to the rule under which they were opened: at each notice of change, and at least once a
 * minute, the route is asked again, and a socket that it would no longer admit ends with 1008. When the store cannot
 * be asked for another whole minute, it ends as well: what nobody can vouch for is not admitted.
 */
export function createTunnels(): Tunnels {
  const open = new Map<Tunnel, () => void>()
  let isEnding = false
  return {
    add({ tunnel, isAdmitted, watch }) {
      if (isEnding) tunnel.end(GOING_AWAY, END_WORDS)
      let lastLookMs = performance.now()
      let timer = setTimeout(look, RECHECK_MS).unref()
      let stopWatching = watch(() => void look())
      open.set(tunnel, () => {
        stopWatching()
        stopWatching = watch(() => void look())
        void look()
      })
      void tunnel.closed.then(() => {
        open.delete(tunnel)
        clearTimeout(timer)
        stopWatching()
      })
      // What happened to the session while the app took its time to agree has been told to nobody.
      void look()

      async function look(): Promise<void> {
        clearTimeout(timer)
        try {
          if (await isAdmitted()) lastLookMs = performance.now()
          else tunnel.end(POLICY_VIOLATION, 'the session has ended')
          schedule(RECHECK_MS)
        } catch {
          if (performance.now() - lastLookMs >= 2 * RECHECK_MS)
            tunnel.end(POLICY_VIOLATION, 'the session cannot be checked')
          else schedule(RETRY_MS)
        }
      }

      function schedule(delayMs: number): void {
        clearTimeout(timer)
        if (open.has(tunnel)) timer = setTimeout(look, delayMs).unref()
      }
    },
    renew() {
      for (const renewOne of open.values()) renewOne()
    },
    endAll() {
      isEnding = true
      for (const tunnel of open.keys()) tunnel.end(GOING_AWAY, END_WORDS)
    },
  }
}
