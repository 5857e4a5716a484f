import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError, wordsOf } from './api.ts'
import { parseRequestLine, type RequestLine } from './request-line.ts'
import { useApi } from './surroundings.ts'

/** Kept at most; the oldest go. */
export const MAX_LINES = 500
/** How often what has come is shown: a busy gateway ends thousands of requests a second. */
const SHOW_EVERY_MS = 250
const AGAIN_MS = [1_000, 2_000, 5_000, 10_000] as const

export interface Feed {
  /** The newest first. */
  readonly lines: readonly RequestLine[]
  /** How many have come that are not shown, while it is paused. */
  readonly held: number
  /** How many the gateway left out because this page read too slowly. */
  readonly leftOut: number
  readonly isConnected: boolean
  readonly failure: string | undefined
  clear(): void
}

interface Arrived {
  lines: RequestLine[]
  count: number
  leftOut: number
}

/** Requests as they end. While it is paused they are gathered, as many as are kept. */
export function useFeed(isPaused: boolean): Feed {
  const arrived = useRef<Arrived>({ lines: [], count: 0, leftOut: 0 })
  const [shown, setShown] = useState<Arrived>({ lines: [], count: 0, leftOut: 0 })
  const [held, setHeld] = useState(0)
  const connection = useConnection(arrived)

  useEffect(() => {
    const show = () => {
      const { lines, count, leftOut } = arrived.current
      if (isPaused) return setHeld(count - shown.count)
      setHeld(0)
      if (count !== shown.count || leftOut !== shown.leftOut) setShown({ lines, count, leftOut })
    }
    show()
    const timer = setInterval(show, SHOW_EVERY_MS)
    return () => clearInterval(timer)
  }, [isPaused, shown])

  return {
    ...connection,
    lines: shown.lines,
    held,
    leftOut: shown.leftOut,
    clear() {
      arrived.current = { ...arrived.current, lines: [], leftOut: 0 }
      setShown(arrived.current)
    },
  }
}

/** Holds the stream open, and opens it again when it breaks. */
function useConnection(arrived: { current: Arrived }): Pick<Feed, 'isConnected' | 'failure'> {
  const api = useApi()
  const [state, setState] = useState<Pick<Feed, 'isConnected' | 'failure'>>({ isConnected: false, failure: undefined })
  useEffect(() => {
    const abort = new AbortController()
    const { signal } = abort
    let timer: ReturnType<typeof setTimeout> | undefined
    let tries = 0
    const onEvent = ({ name, data }: { name: string; data: string }) => {
      const { lines, count, leftOut } = arrived.current
      if (name === 'left_out') {
        arrived.current = { lines, count, leftOut: leftOut + Number(/\d+/.exec(data)?.[0] ?? 0) }
        return
      }
      const line = parseRequestLine(data, count + 1)
      if (line !== undefined)
        arrived.current = { lines: [line, ...lines].slice(0, MAX_LINES), count: count + 1, leftOut }
    }
    const onOpen = () => {
      tries = 0
      setState({ isConnected: true, failure: undefined })
    }
    const connect = async (): Promise<void> => {
      const failure = await api.watch('/api/requests', { signal, onOpen, onEvent }).then(
        () => 'The gateway has ended the stream.',
        (error: unknown) => (error instanceof ApiError ? wordsOf(error) : 'The stream has broken off.'),
      )
      if (signal.aborted) return
      setState({ isConnected: false, failure: `${failure.replace(/\.?$/, '.')} It is tried again.` })
      timer = setTimeout(() => void connect(), AGAIN_MS[Math.min(tries, AGAIN_MS.length - 1)])
      tries += 1
    }
    void connect()
    return () => {
      clearTimeout(timer)
      abort.abort()
    }
  }, [api, arrived])
  return state
}
