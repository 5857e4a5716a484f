import { useState } from 'preact/hooks'
import type { HistoryView } from '../../src/admin/views.ts'
import { minutesOf } from './minutes.ts'
import { Table } from './parts.tsx'
import { minuteText } from './wording.ts'

interface SeriesTableProps {
  readonly title: string
  readonly history: HistoryView
  readonly lines: readonly { readonly name: keyof HistoryView['series']; readonly label: string }[]
  readonly text: (value: number | null | undefined) => string
}

/** What a chart shows, as numbers by the minute. */
export function SeriesTable({ title, history, lines, text }: SeriesTableProps) {
  const [isOpen, setOpen] = useState(false)
  const names = lines.map(({ name }) => name)
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
            rows={minutesOf(history, names)}
            keyOf={({ at }) => at}
            empty="There is nothing yet."
            columns={[
              { title: 'Minute', cell: ({ at }) => minuteText(at) },
              ...lines.map(({ label }, index) => ({
                title: label,
                isNumber: true,
                cell: ({ values }: { values: readonly (number | null)[] }) => text(values[index]),
              })),
            ]}
          />
        </section>
      ) : null}
    </details>
  )
}
