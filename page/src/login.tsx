import { useState } from 'preact/hooks'
import { createApi, wordsOf } from './api.ts'
import { Failure, Field } from './parts.tsx'

interface LoginProps {
  /** Why the operator is asked again. */
  readonly reason: string | undefined
  readonly onToken: (token: string) => void
}

const WRONG = 'The gateway does not take this token. It is what admin.token in its configuration says.'

/** Asks for the token. Before it has been taken, nothing of the gateway is shown. */
export function Login({ reason, onToken }: LoginProps) {
  const [token, setToken] = useState('')
  const [failure, setFailure] = useState(reason)
  const [isBusy, setBusy] = useState(false)

  async function tryToken(): Promise<void> {
    const given = token.trim()
    // Other characters cannot stand in a header; the gateway need not be asked.
    if (!/^[!-~]+$/.test(given)) return setFailure(given === '' ? 'Type the token.' : WRONG)
    setBusy(true)
    setFailure(undefined)
    let isRefused = false
    const api = createApi(given, () => {
      isRefused = true
    })
    try {
      await api.get('/api/overview')
      onToken(given)
    } catch (error) {
      setFailure(isRefused ? WRONG : wordsOf(error))
      setBusy(false)
    }
  }

  return (
    <main class="login" id="main">
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault()
          if (!isBusy) void tryToken()
        }}
      >
        <p class="brand">sessiongate</p>
        <h1>For the operator</h1>
        {/* Managers of passwords file what they keep under a name. */}
        <input hidden readOnly autocomplete="username" value="operator" />
        <Field
          label="Token"
          value={token}
          onChange={setToken}
          hint="admin.token of the configuration. It is kept until this tab is closed."
          input={{ type: 'password', autocomplete: 'current-password', required: true }}
        />
        <Failure>{failure}</Failure>
        <button class="main" type="submit" aria-disabled={isBusy}>
          {isBusy ? 'Asking …' : 'Open'}
        </button>
      </form>
    </main>
  )
}
