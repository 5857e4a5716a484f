import type { Revocation, SessionView } from '../../src/admin/views.ts'
import { useErrand } from './errand.ts'
import { Action, Code, Facts, Failure, Foreign, Loading, Outcome, Table, Title } from './parts.tsx'
import { linkTo } from './place.ts'
import { useResource } from './resource.ts'
import { useApi, useConfirm } from './surroundings.ts'
import { timeText } from './wording.ts'

/** One session: whose it is, what is in it as far as that may be shown, and its end. */
export function SessionDetail({ id }: { id: string }) {
  const { value, failure } = useResource<SessionView>(`/api/sessions/${encodeURIComponent(id)}`)
  const { errand, isEnded, end } = useEnd(value)
  return (
    <>
      <p>
        <a href={linkTo('sessions')}>Sessions</a>
      </p>
      <Title>
        Session <Foreign text={id} />
      </Title>
      <Outcome>{errand.outcome}</Outcome>
      <Failure>
        {errand.failure ?? (failure === 'there is no such thing' ? 'There is no such session.' : failure)}
      </Failure>
      {isEnded || value === undefined ? (
        !isEnded && failure === undefined && <Loading />
      ) : (
        <>
          <section class="card" aria-label="About it">
            <About session={value} />
            <div class="buttons">
              <a class="button" href={linkTo('routes', { asked: { session: value.id } })}>
                Test a request with it
              </a>
              <Action kind="danger" isBusy={errand.isBusy} onClick={end}>
                Revoke …
              </Action>
            </div>
          </section>
          <Values session={value} />
        </>
      )}
    </>
  )
}

function useEnd(session: SessionView | undefined) {
  const api = useApi()
  const confirm = useConfirm()
  const errand = useErrand()
  const end = () =>
    errand.run(async () => {
      if (session === undefined) return undefined
      const text = `Session ${session.id}${session.user === null ? '' : ` of user ${session.user}`} ends at once, and its WebSockets are closed.`
      if (!(await confirm({ title: 'Revoke this session?', text, action: 'Revoke' }))) return undefined
      const { revoked } = await api.post<Revocation>('/api/sessions/revoke', { ids: [session.id] })
      document.getElementById('title')?.focus()
      return revoked === 0 ? 'It had ended already.' : 'The session is revoked.'
    })
  return { errand, isEnded: errand.outcome !== undefined, end }
}

function About({ session: { user, expires_at } }: { session: SessionView }) {
  const whose =
    user === null ? (
      'nobody is logged in, or nothing says who'
    ) : (
      <a href={linkTo('sessions', { asked: { user } })}>
        <Foreign text={user} />
      </a>
    )
  return (
    <Facts
      facts={[
        { name: 'User', value: whose },
        { name: 'Ends', value: expires_at === null ? 'not told' : timeText(expires_at) },
      ]}
    />
  )
}

function Values({ session: { data, values_shown } }: { session: SessionView }) {
  return (
    <section class="card" aria-labelledby="values">
      <h2 id="values">What is in it</h2>
      {values_shown ? null : (
        <p class="muted">Values are not shown: admin.show_values of the configuration is not set.</p>
      )}
      <Table
        caption="Keys and values"
        rows={Object.entries(data)}
        keyOf={([name]) => name}
        empty="Nothing."
        columns={[
          { title: 'Key', cell: ([name]) => <Code text={name} /> },
          {
            title: 'Value',
            cell: ([, value]) =>
              values_shown ? <Code text={JSON.stringify(value)} /> : <Foreign text={String(value)} />,
          },
        ]}
      />
    </section>
  )
}
