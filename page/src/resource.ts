import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { wordsOf } from './api.ts'
import { useApi } from './surroundings.ts'

/** Something of the API's that is shown, and asked for again. */
export interface Resource<T> {
  /** As it was last told; stays while the gateway does not answer. */
  readonly value: T | undefined
  /** Why there is no newer value; undefined when there is one. */
  readonly failure: string | undefined
  /** Asks now. */
  readonly refresh: () => Promise<void>
}

/** `path`: another one begins anew; undefined asks for nothing. `everyMs`: how often, while the page is looked at. */
export function useResource<T>(path: string | undefined, everyMs?: number): Resource<T> {
  const api = useApi()
  const [state, setState] = useState<{ path?: string | undefined; value?: T; failure?: string }>({})
  const abort = useRef(new AbortController())

  const refresh = useCallback(async () => {
    if (path === undefined) return
    abort.current.abort()
    abort.current = new AbortController()
    const { signal } = abort.current
    try {
      const value = await api.get<T>(path, signal)
      if (!signal.aborted) setState({ path, value })
    } catch (error) {
      if (signal.aborted) return
      const failure = wordsOf(error)
      setState((before) => (before.path === path ? { ...before, failure } : { path, failure }))
    }
  }, [api, path])

  useEffect(() => {
    void refresh()
    const look = () => document.visibilityState === 'visible' && void refresh()
    const timer = everyMs === undefined ? undefined : setInterval(look, everyMs)
    if (everyMs !== undefined) document.addEventListener('visibilitychange', look)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', look)
      abort.current.abort()
    }
  }, [refresh, everyMs])

  const isOurs = state.path === path
  return { value: isOurs ? state.value : undefined, failure: isOurs ? state.failure : undefined, refresh }
}
