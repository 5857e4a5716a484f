import { useMemo } from 'preact/hooks'
import type { HistoryView, Overview } from '../../../src/admin/views.ts'
import { Chart } from '../chart.tsx'
import { Badge, Code, Facts, Failure, Loading, Title } from '../parts.tsx'
import { useResource } from '../resource.ts'
import { SeriesTable } from '../series-table.tsx'
import { durationText, millisText, numberText, plainly } from '../wording.ts'

const EVERY_MS = 10_000

interface Figure {
  readonly title: string
  readonly unit: string
  readonly text: (value: number | null | undefined) => string
  /** What is told per second is shown so many times. */
  readonly factor: number
  readonly lines: readonly {
    readonly name: keyof HistoryView['series']
    readonly label: string
    readonly colour: string
    readonly dash?: readonly number[]
  }[]
}

const figures: readonly Figure[] = [
  {
    title: 'Requests',
    unit: 'per second',
    text: numberText,
    factor: 1,
    lines: [
      { name: 'requests', label: 'all', colour: '--line-1' },
      { name: 'with_session', label: 'with a session', colour: '--line-2', dash: [6, 3] },
    ],
  },
  {
    title: 'Errors',
    unit: 'per second',
    text: numberText,
    factor: 1,
    lines: [
      { name: 'errors', label: 'status 5xx', colour: '--line-bad' },
      { name: 'refused', label: 'refused by rules', colour: '--line-3', dash: [6, 3] },
    ],
  },
  {
    title: 'Overhead of the gateway',
    unit: '99 of 100 requests take no longer',
    text: millisText,
    factor: 1,
    lines: [{ name: 'overhead_p99_seconds', label: 'p99', colour: '--line-1' }],
  },
  {
    title: 'Logins and sessions',
    unit: 'per minute',
    text: numberText,
    factor: 60,
    lines: [
      { name: 'sent_to_login', label: 'sent to the login', colour: '--line-3', dash: [6, 3] },
      { name: 'sessions_begun', label: 'begun', colour: '--line-1' },
      { name: 'sessions_renewed', label: 'new key', colour: '--line-2', dash: [2, 3] },
      { name: 'sessions_revoked', label: 'revoked', colour: '--line-bad', dash: [10, 3] },
    ],
  },
]

/** What runs, whether it is well, and what the last hour was like. */
export function OverviewPage() {
  const overview = useResource<Overview>('/api/overview', EVERY_MS)
  const history = useResource<HistoryView>('/api/history', EVERY_MS)
  return (
    <>
      <Title>Overview</Title>
      <Failure>{overview.failure ?? history.failure}</Failure>
      {overview.value === undefined ? (
        overview.failure === undefined && <Loading />
      ) : (
        <State overview={overview.value} />
      )}
      {history.value === undefined ? null : <Figures history={history.value} />}
    </>
  )
}

function State({ overview }: { overview: Overview }) {
  const { version, node, started_at, uptime_seconds, mode, config_hash, listen, ready, checks } = overview
  return (
    <div class="columns">
      <section class="card" aria-labelledby="ready">
        <h2 id="ready">
          {ready ? <Badge tone="good">Ready</Badge> : <Badge tone="bad">Not ready</Badge>}
          {mode === 'observe' ? <Badge tone="warn">observe: rules only watch</Badge> : null}
        </h2>
        <Facts
          facts={Object.entries(checks).map(([name, value]) => ({ name: plainly(name), value: plainly(value) }))}
        />
      </section>
      <section class="card" aria-labelledby="runs">
        <h2 id="runs">What runs</h2>
        <Facts
          facts={[
            { name: 'sessiongate', value: version },
            { name: 'Node', value: node },
            { name: 'Up for', value: <time dateTime={started_at}>{durationText(uptime_seconds)}</time> },
            { name: 'Configuration', value: <Code text={config_hash} /> },
            { name: 'Listens on', value: listen.map(plainly).join(', ') },
          ]}
        />
      </section>
    </div>
  )
}

function Figures({ history }: { history: HistoryView }) {
  const at = useMemo(() => history.at.map((time) => Date.parse(time) / 1000), [history])
  if (at.length === 0)
    return <p class="muted">The first numbers come {history.every_seconds} seconds after the start.</p>
  return (
    <section aria-labelledby="hour">
      <h2 id="hour">The last hour</h2>
      <div class="figures">
        {figures.map((figure) => (
          <FigureCard key={figure.title} figure={figure} history={history} at={at} />
        ))}
      </div>
    </section>
  )
}

interface FigureCardProps {
  readonly figure: Figure
  readonly history: HistoryView
  readonly at: readonly number[]
}

function FigureCard({ figure, history, at }: FigureCardProps) {
  const { title, unit, text, factor } = figure
  const lines = useMemo(
    () =>
      figure.lines.map(({ name, ...line }) => ({
        ...line,
        values: history.series[name].map((value) => (value === null ? null : value * factor)),
      })),
    [figure, history],
  )
  return (
    <figure class="card">
      <figcaption>
        <h3>{title}</h3>
        <span class="muted">{unit}</span>
      </figcaption>
      <Chart at={at} lines={lines} text={text} />
      <SeriesTable title={`${title}, ${unit}`} at={history.at} lines={lines} text={text} />
    </figure>
  )
}
