import { useState } from 'preact/hooks'
import type { RouteView } from '../../../src/admin/views.ts'
import { Action, Badge, Choice, Code, Failure, Field, Table, Title, type Tone } from '../parts.tsx'
import { linkTo } from '../place.ts'
import { type Feed, MAX_LINES, useFeed } from '../request-feed.ts'
import { isShown, type LineFilter, type RequestLine } from '../request-line.ts'
import { useResource } from '../resource.ts'
import { counted, numberText, plainly, timeText } from '../wording.ts'

/** What is put on the screen at a time. */
const MAX_ROWS = 100

const statuses = [
  { value: '', text: 'any' },
  { value: '2', text: '2xx' },
  { value: '3', text: '3xx' },
  { value: '4', text: '4xx' },
  { value: '5', text: '5xx' },
]

/** Requests as they end, and what was decided about each. */
export function Live() {
  const [isPaused, setPaused] = useState(false)
  const [filter, setFilter] = useState<LineFilter>({ status: '', path: '', route: '' })
  const feed = useFeed(isPaused)
  const found = feed.lines.filter((line) => isShown(line, filter))
  return (
    <>
      <Title>Live</Title>
      <Failure>{feed.failure}</Failure>
      <Filters filter={filter} onFilter={setFilter} />
      <section class="card" aria-label="Requests">
        <div class="head">
          <State feed={feed} isPaused={isPaused} />
          <div class="buttons">
            <Action onClick={async () => setPaused(!isPaused)}>
              {isPaused ? `Go on${feed.held > 0 ? ` (${numberText(feed.held)} new)` : ''}` : 'Pause'}
            </Action>
            <Action onClick={async () => feed.clear()}>Clear</Action>
          </div>
        </div>
        <Lines lines={found.slice(0, MAX_ROWS)} />
        <p class="muted">
          {counted(found.length, 'request')} of the last {feed.lines.length}
          {found.length > MAX_ROWS ? `, ${MAX_ROWS} of them shown` : ''}; at most {MAX_LINES} are kept.
          {feed.leftOut > 0 ? ` ${counted(feed.leftOut, 'request')} left out: more came than could be read.` : ''}
        </p>
      </section>
    </>
  )
}

/** What is read out is the state and not each request, or a screen reader would say nothing else any more. */
function State({ feed, isPaused }: { feed: Feed; isPaused: boolean }) {
  return (
    <p role="status" class="state">
      {isPaused ? (
        <Badge tone="warn">Paused</Badge>
      ) : feed.isConnected ? (
        <Badge tone="good">Live</Badge>
      ) : (
        <Badge tone="plain">Connecting</Badge>
      )}
    </p>
  )
}

function Filters({ filter, onFilter }: { filter: LineFilter; onFilter: (filter: LineFilter) => void }) {
  const routes = useResource<RouteView[]>('/api/routes')
  const ids = (routes.value ?? []).map(({ id }) => ({ value: id, text: plainly(id) }))
  return (
    <search class="card fields">
      <Choice
        label="Status"
        value={filter.status}
        onChange={(status) => onFilter({ ...filter, status })}
        choices={statuses}
      />
      <Choice
        label="Route"
        value={filter.route}
        onChange={(route) => onFilter({ ...filter, route })}
        choices={[{ value: '', text: 'any' }, ...ids]}
      />
      <Field
        label="Path"
        value={filter.path}
        onChange={(path) => onFilter({ ...filter, path })}
        input={{ type: 'search', placeholder: 'a part of it' }}
      />
    </search>
  )
}

function toneOf(status: number | undefined): Tone {
  if (status === undefined || status >= 500) return 'bad'
  if (status >= 400) return 'warn'
  return status >= 300 ? 'plain' : 'good'
}

function Lines({ lines }: { lines: readonly RequestLine[] }) {
  return (
    <Table
      caption="Requests, the newest first"
      isDense
      rows={lines}
      keyOf={({ number }) => String(number)}
      empty="None yet. They appear as they end."
      columns={[
        { title: 'Time', cell: ({ time }) => <span class="muted">{timeText(time)}</span> },
        { title: 'Status', cell: ({ status }) => <Badge tone={toneOf(status)}>{status ?? 'cut off'}</Badge> },
        {
          title: 'Request',
          cell: ({ method, path, host }) => (
            <>
              {plainly(method)} <Code text={path} /> <span class="muted">{plainly(host)}</span>
            </>
          ),
        },
        { title: 'Route', cell: ({ route }) => (route === '' ? <span class="muted">none</span> : plainly(route)) },
        { title: 'Decision', cell: ({ decision }) => plainly(decision) },
        { title: 'ms', isNumber: true, cell: ({ durationMs }) => numberText(durationMs) },
        { title: 'Look into it', isAction: true, cell: (line) => <Links line={line} /> },
      ]}
    />
  )
}

function Links({ line: { method, path, url, session } }: { line: RequestLine }) {
  return (
    <>
      <a href={linkTo('routes', { asked: { method, url, session } })} aria-label={`Why ${plainly(path)}`}>
        Why
      </a>
      {session === undefined ? null : (
        <a href={linkTo('sessions', { id: session })} aria-label={`Session ${plainly(session)}`}>
          Session
        </a>
      )}
    </>
  )
}
