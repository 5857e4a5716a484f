import { useEffect, useMemo, useState } from 'preact/hooks'
import { createApi } from './api.ts'
import { Login } from './login.tsx'
import { Loading } from './parts.tsx'
import { Shell } from './shell.tsx'
import { dropToken, keepToken, readToken } from './token.ts'

/** By what the gateway knows the operator: the token, or the certificate that the browser shows without being asked to. */
type Identity = { readonly by: 'token'; readonly token: string } | { readonly by: 'certificate' }

/** Either the form for the token, or everything else. */
export function App() {
  const [identity, setIdentity] = useState(readIdentity)
  const [reason, setReason] = useState<string>()
  const isAsking = useCertificate(identity === undefined, () => setIdentity({ by: 'certificate' }))
  const leave = (why: string | undefined) => {
    dropToken()
    setReason(why)
    setIdentity(undefined)
  }
  const api = useMemo(() => {
    if (identity === undefined) return undefined
    const token = identity.by === 'token' ? identity.token : undefined
    return createApi(token, () => leave('The gateway does not take the token any more. Type the present one.'))
  }, [identity])
  if (api !== undefined)
    return <Shell api={api} onLeave={identity?.by === 'token' ? () => leave(undefined) : undefined} />
  if (isAsking) {
    return (
      <main class="login">
        <Loading />
      </main>
    )
  }
  return (
    <Login
      reason={reason}
      onToken={(token) => {
        keepToken(token)
        setIdentity({ by: 'token', token })
      }}
    />
  )
}

function readIdentity(): Identity | undefined {
  const token = readToken()
  return token === undefined ? undefined : { by: 'token', token }
}

/** Asks once, where there can be certificates, whether the gateway wants nothing more. Tells whether it is still asking. */
function useCertificate(isWanted: boolean, onTaken: () => void): boolean {
  const [isAsking, setAsking] = useState(isWanted && location.protocol === 'https:')
  useEffect(() => {
    if (!isAsking) return
    const answer = createApi(undefined, () => undefined).get('/api/overview')
    void answer.then(onTaken, () => undefined).finally(() => setAsking(false))
  }, [])
  return isAsking
}
