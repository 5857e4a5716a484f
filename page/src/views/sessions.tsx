import { useState } from 'preact/hooks'
import { Choice, Field, Title } from '../parts.tsx'
import { linkTo, type Place } from '../place.ts'
import { SessionDetail } from '../session-detail.tsx'
import { SessionResults } from '../session-results.tsx'
import { searchOf } from '../session-search.ts'

/** Who is logged in, what is in a session, and how it is ended. */
export function Sessions({ place: { id, asked } }: { place: Place }) {
  if (id !== undefined) return <SessionDetail id={id} />
  const search = searchOf(asked)
  return (
    <>
      <Title>Sessions</Title>
      <SearchForm key={JSON.stringify(asked)} asked={asked} />
      {search === undefined ? null : <SessionResults key={JSON.stringify(search)} search={search} />}
    </>
  )
}

type Kind = 'user' | 'id' | 'value' | 'all'

const kinds: readonly { value: Kind; text: string }[] = [
  { value: 'user', text: 'user id' },
  { value: 'id', text: 'public id' },
  { value: 'value', text: 'key and value' },
  { value: 'all', text: 'all' },
]

function SearchForm({ asked }: { asked: Readonly<Record<string, string>> }) {
  const [kind, setKind] = useState<string>(asked.by === 'all' ? 'all' : asked.key !== undefined ? 'value' : 'user')
  const [user, setUser] = useState(asked.user ?? '')
  const [id, setId] = useState('')
  const [key, setKey] = useState(asked.key ?? '')
  const [value, setValue] = useState(asked.value ?? '')
  function submit(): void {
    if (kind === 'id') location.hash = linkTo('sessions', { id: id.trim() })
    else if (kind === 'all') location.hash = linkTo('sessions', { asked: { by: 'all' } })
    else if (kind === 'value') location.hash = linkTo('sessions', { asked: { key: key.trim(), value } })
    else location.hash = linkTo('sessions', { asked: { user: user.trim() } })
  }
  return (
    <form
      class="card fields"
      aria-label="Find sessions"
      onSubmit={(event) => {
        event.preventDefault()
        submit()
      }}
    >
      <Choice label="Find by" value={kind} onChange={setKind} choices={kinds} />
      {kind === 'user' ? <Field label="User id" value={user} onChange={setUser} input={{ required: true }} /> : null}
      {kind === 'id' ? (
        <Field
          label="Public id"
          value={id}
          onChange={setId}
          hint="22 characters, as logs have it; never the cookie’s value"
          input={{ required: true, pattern: '\\s*[\\-\\w]{22}\\s*' }}
        />
      ) : null}
      {kind === 'value' ? (
        <>
          <Field
            label="Key"
            value={key}
            onChange={setKey}
            hint="Dotted, such as userInfo.role"
            input={{ required: true }}
          />
          <Field
            label="Value"
            value={value}
            onChange={setValue}
            hint="admin is text, 7 a number, &quot;7&quot; text"
            input={{ required: true }}
          />
        </>
      ) : null}
      <button class="main" type="submit">
        Find
      </button>
    </form>
  )
}
