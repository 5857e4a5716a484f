import { useMemo, useState } from 'preact/hooks'
import { createApi } from './api.ts'
import { Login } from './login.tsx'
import { Shell } from './shell.tsx'
import { dropToken, keepToken, readToken } from './token.ts'

/** Either the form for the token, or everything else. */
export function App() {
  const [token, setToken] = useState(readToken)
  const [reason, setReason] = useState<string>()
  const leave = (why: string | undefined) => {
    dropToken()
    setReason(why)
    setToken(undefined)
  }
  const api = useMemo(
    () =>
      token === undefined
        ? undefined
        : createApi(token, () => leave('The gateway does not take the token any more. Type the present one.')),
    [token],
  )
  if (api !== undefined) return <Shell api={api} onLeave={() => leave(undefined)} />
  return (
    <Login
      reason={reason}
      onToken={(given) => {
        keepToken(given)
        setToken(given)
      }}
    />
  )
}
