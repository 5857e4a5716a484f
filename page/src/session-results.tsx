import { useEffect, useRef, useState } from 'preact/hooks'
import type { Revocation, SessionList } from '../../src/admin/views.ts'
import { wordsOf } from './api.ts'
import { useErrand } from './errand.ts'
import { Action, Code, Failure, Foreign, Loading, Outcome, Table } from './parts.tsx'
import { linkTo } from './place.ts'
import { countOf, pathOf, revocationOf, type Search, wordsFor } from './session-search.ts'
import { useApi, useConfirm } from './surroundings.ts'
import { counted, plainly, timeText } from './wording.ts'

const PAGE = 50

type Row = SessionList['sessions'][number]

interface Found {
  readonly rows: readonly Row[]
  readonly next: string | null
  readonly isWhole: boolean
}

/** Sessions page by page, in the order in which the store gives them. */
function useFound(search: Search) {
  const api = useApi()
  const [found, setFound] = useState<Found>()
  const [failure, setFailure] = useState<string>()
  async function load(path: string, before: readonly Row[]): Promise<void> {
    try {
      const { sessions, next, is_whole } = await api.get<SessionList>(path)
      setFound({ rows: [...before, ...sessions], next, isWhole: is_whole })
      setFailure(undefined)
    } catch (error) {
      setFailure(wordsOf(error))
    }
  }
  const first = () => load(pathOf(search, PAGE), [])
  const more = ({ rows, next }: Found) =>
    load(`/api/sessions?${new URLSearchParams({ cursor: next ?? '', limit: String(PAGE) })}`, rows)
  useEffect(() => void first(), [api])
  return { found, failure, first, more }
}

/** What was found, and the ways to end it. */
export function SessionResults({ search, onTold }: { search: Search; onTold: (text: string) => void }) {
  const { found, failure, first, more } = useFound(search)
  useEffect(() => {
    if (found !== undefined) onTold(howMany(found))
  }, [found, onTold])
  const { errand, endOne, endAll } = useRevocation(search, first)
  const heading = useRef<HTMLHeadingElement>(null)
  // The button that was pressed has gone with its row.
  useEffect(() => {
    if (errand.outcome !== undefined) heading.current?.focus()
  }, [errand.outcome])
  return (
    <section class="card" aria-labelledby="found">
      <div class="head">
        <h2 id="found" tabIndex={-1} ref={heading}>
          {search.by === 'all' ? (
            'All sessions'
          ) : (
            <>
              Sessions <Foreign text={wordsFor(search)} />
            </>
          )}
        </h2>
        {found !== undefined && found.rows.length > 0 && search.by !== 'all' ? (
          <Action kind="danger" isBusy={errand.isBusy} onClick={endAll}>
            {search.by === 'user' ? 'Revoke all of this user …' : 'Revoke all that match …'}
          </Action>
        ) : null}
      </div>
      <Outcome>{errand.outcome}</Outcome>
      <Failure>{errand.failure ?? failure}</Failure>
      {found === undefined ? failure === undefined && <Loading /> : <Rows found={found} onEnd={endOne} onMore={more} />}
    </section>
  )
}

function useRevocation(search: Search, onEnded: () => Promise<void>) {
  const api = useApi()
  const confirm = useConfirm()
  const errand = useErrand()
  async function revoke(body: Readonly<Record<string, unknown>>): Promise<string> {
    const { revoked } = await api.post<Revocation>('/api/sessions/revoke', body)
    await onEnded()
    return revoked === 0 ? 'There was nothing left to revoke.' : `${counted(revoked, 'session')} revoked.`
  }
  const endOne = ({ id, user }: Row) =>
    errand.run(async () => {
      const text = `Session ${id}${user === null ? '' : ` of user ${user}`} ends at once, and its WebSockets are closed.`
      return (await confirm({ title: 'Revoke this session?', text, action: 'Revoke' }))
        ? await revoke({ ids: [id] })
        : undefined
    })
  const endAll = () =>
    errand.run(async () => {
      const body = revocationOf(search)
      if (body === undefined) return undefined
      const count = await countOf(api, search)
      const text = `${count} ${wordsFor(search)}: they end at once, on every device, and their WebSockets are closed.`
      return (await confirm({ title: `Revoke ${count}?`, text, action: 'Revoke all' })) ? await revoke(body) : undefined
    })
  return { errand, endOne, endAll }
}

function howMany({ rows, next, isWhole }: Found): string {
  const more = next === null ? '' : ', there are more'
  return `${counted(rows.length, 'session')} shown${more}${isWhole ? '' : '; the store cannot tell all that it holds'}.`
}

interface RowsProps {
  readonly found: Found
  readonly onEnd: (row: Row) => Promise<void>
  readonly onMore: (found: Found) => Promise<void>
}

function Rows({ found, onEnd, onMore }: RowsProps) {
  const { rows, next } = found
  return (
    <>
      <p class="muted">{howMany(found)}</p>
      <Table
        caption="Sessions"
        rows={rows}
        keyOf={({ id }) => id}
        empty="There is none."
        columns={[
          {
            title: 'Public id',
            cell: ({ id }) => (
              <a href={linkTo('sessions', { id })}>
                <Code text={id} />
              </a>
            ),
          },
          {
            title: 'User',
            cell: ({ user }) =>
              user === null ? (
                <span class="muted">nobody</span>
              ) : (
                <a href={linkTo('sessions', { asked: { user } })}>
                  <Foreign text={user} />
                </a>
              ),
          },
          {
            title: 'Ends',
            cell: ({ expires_at }) => <span class="whole">{expires_at === null ? '–' : timeText(expires_at)}</span>,
          },
          { title: 'Keys', cell: ({ names }) => <Foreign text={names.join(', ')} /> },
          {
            title: 'Revoke',
            isAction: true,
            cell: (row) => (
              <Action kind="danger" label={`Revoke ${plainly(row.id)}`} onClick={() => onEnd(row)}>
                Revoke
              </Action>
            ),
          },
        ]}
      />
      {next === null ? null : <Action onClick={() => onMore(found)}>Show more</Action>}
    </>
  )
}
