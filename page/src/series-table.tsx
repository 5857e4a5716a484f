import { useState } from 'preact/hooks'
import type { ChartLine } from './chart.tsx'
import { type Minute, minutesOf } from './minutes.ts'
import { Table } from './parts.tsx'
import { minuteText } from './wording.ts'

interface SeriesTableProps {
  readonly title: string
  /** Of each point, ISO 8601 in UTC. */
  readonly at: readonly string[]
  readonly lines: readonly ChartLine[]
  readonly text: (value: number | null | undefined) => string
}

/** What a chart shows, as numbers by the minute. */
export function SeriesTable({ title, at: times, lines, text }: SeriesTableProps) {
  const [isOpen, setOpen] = useState(false)
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        As a table<span class="unseen">: {title}</span>
      </summary>
      {isOpen ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: whoever has only a keyboard scrolls in it too
        <section class="scrolled" tabIndex={0} aria-label={`${title} by the minute`}>
          <Table
            caption={`${title} by the minute`}
            rows={minutesOf(
              times,
              lines.map(({ values }) => values),
            )}
            keyOf={({ at }) => at}
            empty="There is nothing yet."
            columns={[
              { title: 'Minute', cell: ({ at }) => minuteText(at) },
              ...lines.map(({ label }, index) => ({
                title: label,
                isNumber: true,
                cell: ({ values }: Minute) => text(values[index]),
              })),
            ]}
          />
        </section>
      ) : null}
    </details>
  )
}
