import type { LocalCacheState } from './local-cache-parts.ts'
import type { Log } from './observe/log.ts'

/** Whether sessions are kept in the process, for the log and for `/readyz`. */
export interface LocalCacheStates {
  readonly note: (state: LocalCacheState) => void
  /** Nothing is ever kept, by wish or by the kind of the store. */
  readonly isOff: boolean
  /** `on`, `off`, or one of `off` and `broken` with the reason behind it. */
  readonly text: string
  /** From now on changes are logged; the state at hand first, unless it is as wished. */
  tell(): void
}

/** That line, like the one about the store, comes after the one that says that the gateway listens. */
export function createLocalCacheStates(log: Log): LocalCacheStates {
  let state: LocalCacheState = { is: 'off', reason: undefined }
  let isTelling = false

  function write(): void {
    switch (state.is) {
      case 'on':
        log.info('session changes are told, sessions are kept in the process')
        break
      case 'broken':
        log.warn('session changes are not told, each request asks the store', { reason: state.reason })
        break
      case 'off':
        if (state.reason !== undefined) log.info('no sessions are kept in the process', { reason: state.reason })
        break
    }
  }

  return {
    note(next) {
      state = next
      if (isTelling) write()
    },
    get isOff() {
      return state.is === 'off'
    },
    get text() {
      return state.is === 'on' || state.reason === undefined ? state.is : `${state.is}: ${state.reason}`
    },
    tell() {
      isTelling = true
      if (state.is !== 'on') write()
    },
  }
}
