import { useEffect, useState } from 'preact/hooks'
import { Choice, Field, Title } from '../parts.tsx'
import { linkTo, type Place } from '../place.ts'
import { SessionDetail } from '../session-detail.tsx'
import { SessionResults } from '../session-results.tsx'
import { searchOf } from '../session-search.ts'

/** Who is logged in, what is in a session, and how it is ended. */
export function Sessions({ place: { id, asked } }: { place: Place }) {
  if (id !== undefined) return <SessionDetail id={id} />
  return <Search asked={asked} />
}

function Search({ asked }: { asked: Readonly<Record<string, string>> }) {
  const search = searchOf(asked)
  // The same is looked for again when it is asked for again, though the address stays.
  const [turn, setTurn] = useState(0)
  const [told, setTold] = useState('')
  return (
    <>
      <Title>Sessions</Title>
      <SearchForm asked={asked} onAgain={() => setTurn(turn + 1)} />
      <p role="status" class="unseen">
        {search === undefined ? '' : told}
      </p>
      {search === undefined ? null : (
        <SessionResults key={`${turn} ${JSON.stringify(search)}`} search={search} onTold={setTold} />
      )}
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

interface SearchFormProps {
  readonly asked: Readonly<Record<string, string>>
  readonly onAgain: () => void
}

function SearchForm({ asked, onAgain }: SearchFormProps) {
  const [kind, setKind] = useState('user')
  const [user, setUser] = useState('')
  const [id, setId] = useState('')
  const [key, setKey] = useState('')
  const [value, setValue] = useState('')
  useEffect(() => {
    setKind(asked.by === 'all' ? 'all' : asked.key === undefined ? 'user' : 'value')
    setUser(asked.user ?? '')
    setKey(asked.key ?? '')
    setValue(asked.value ?? '')
  }, [asked])
  function submit(): void {
    const links: Readonly<Record<string, string>> = {
      id: linkTo('sessions', { id: id.trim() }),
      all: linkTo('sessions', { asked: { by: 'all' } }),
      value: linkTo('sessions', { asked: { key: key.trim(), value } }),
      user: linkTo('sessions', { asked: { user: user.trim() } }),
    }
    const next = links[kind] ?? location.hash
    if (location.hash === next) onAgain()
    else location.hash = next
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
