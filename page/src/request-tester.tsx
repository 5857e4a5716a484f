import { useEffect, useState } from 'preact/hooks'
import type { ExplanationView } from '../../src/admin/views.ts'
import { wordsOf } from './api.ts'
import { Badge, Choice, Code, Facts, Failure, Field, Foreign, Table, type Tone } from './parts.tsx'
import { linkTo } from './place.ts'
import { useApi } from './surroundings.ts'
import { plainly, reasonText } from './wording.ts'

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** What would become of a request. It is worked out by the gateway's own rules; nothing is sent to an app. */
export function RequestTester({ asked }: { asked: Readonly<Record<string, string>> }) {
  const [method, setMethod] = useState(asked.method ?? 'GET')
  const [url, setUrl] = useState(asked.url ?? '')
  const [session, setSession] = useState(asked.session ?? '')
  const { explanation, failure, isBusy, test } = useExplanation()

  useEffect(() => {
    setMethod(asked.method ?? 'GET')
    setUrl(asked.url ?? '')
    setSession(asked.session ?? '')
    if (asked.url !== undefined && asked.url !== '') void test(asked)
  }, [asked])

  function submit(): void {
    const next = linkTo('routes', { asked: { method, url, session: session.trim() || undefined } })
    // The address has all of it: a link to the answer can be sent to somebody. The same again is asked again.
    if (location.hash === next) void test({ method, url, session })
    else location.hash = next
  }

  return (
    <section class="card" aria-labelledby="tester">
      <h2 id="tester">Test a request</h2>
      <p class="muted">Nothing is sent to the app.</p>
      <form
        class="fields"
        onSubmit={(event) => {
          event.preventDefault()
          if (!isBusy) submit()
        }}
      >
        <Choice
          label="Method"
          value={method}
          onChange={setMethod}
          choices={methods.map((value) => ({ value, text: value }))}
        />
        <Field label="Path or URL" value={url} onChange={setUrl} input={{ required: true, placeholder: '/orders/7' }} />
        <Field
          label="Session"
          value={session}
          onChange={setSession}
          hint="Its public id; without one: a visitor who is not logged in."
        />
        <button class="main" type="submit" aria-disabled={isBusy}>
          Explain
        </button>
      </form>
      <Failure>{failure}</Failure>
      <div aria-live="polite">{explanation === undefined ? null : <Verdict explanation={explanation} />}</div>
      {explanation === undefined ? null : <Details explanation={explanation} />}
    </section>
  )
}

function useExplanation() {
  const api = useApi()
  const [state, setState] = useState<{ explanation?: ExplanationView; failure?: string; isBusy: boolean }>({
    isBusy: false,
  })
  async function test({ method = 'GET', url, session = '' }: Readonly<Record<string, string>>): Promise<void> {
    setState({ isBusy: true })
    const id = session.trim()
    try {
      const body = { method, url, ...(id === '' ? {} : { session: id }) }
      setState({ explanation: await api.post<ExplanationView>('/api/explain', body), isBusy: false })
    } catch (error) {
      setState({ failure: wordsOf(error), isBusy: false })
    }
  }
  return { ...state, test }
}

const verdicts: Readonly<Record<string, { tone: Tone; text: string }>> = {
  forwarded: { tone: 'good', text: 'Goes to the app' },
  login: { tone: 'warn', text: 'Is sent to the login' },
  forbidden: { tone: 'bad', text: 'Is forbidden' },
  answered: { tone: 'plain', text: 'Is answered by the gateway' },
}

function Verdict({ explanation: { outcome, status, reason } }: { explanation: ExplanationView }) {
  const { tone, text } = verdicts[outcome] ?? { tone: 'bad', text: `Is refused: ${outcome}` }
  return (
    <p class="verdict">
      <Badge tone={tone}>{plainly(text)}</Badge>
      {status === null ? null : ` status ${status}`}
      {reason === null ? null : <span>: {reasonText(reason)}</span>}
    </p>
  )
}

function Details({ explanation }: { explanation: ExplanationView }) {
  const { target, route, goes_up_as, location: leadsTo, rules, headers_up } = explanation
  const facts = [
    { name: 'Request', value: <Code text={target} /> },
    { name: 'Route', value: route === null ? 'none' : <b>{plainly(route)}</b> },
    ...(goes_up_as === null ? [] : [{ name: 'For the app', value: <Code text={goes_up_as} /> }]),
    ...(leadsTo === null ? [] : [{ name: 'Leads to', value: <Code text={leadsTo} /> }]),
  ]
  return (
    <>
      <Facts facts={facts} />
      <h3>Routes tried</h3>
      <ol class="rules">
        {rules.map(({ id, hit, missed_by }) => (
          <li key={id}>
            <Badge tone={hit ? 'good' : 'plain'}>{hit ? 'hit' : 'miss'}</Badge> <b>{plainly(id)}</b>
            {missed_by === null ? null : <span class="muted"> is for another {plainly(missed_by)}</span>}
          </li>
        ))}
      </ol>
      {headers_up.length === 0 ? null : (
        <>
          <h3>Headers that the app gets beside the browser’s</h3>
          <Table
            caption="Headers for the app, values left out"
            rows={headers_up}
            keyOf={({ name }) => name}
            empty="None."
            columns={[
              { title: 'Header', cell: ({ name }) => <Code text={name} /> },
              { title: 'Value', cell: ({ value }) => <Foreign text={value} /> },
            ]}
          />
        </>
      )}
    </>
  )
}
