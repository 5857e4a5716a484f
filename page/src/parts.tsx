import type { ComponentChildren, JSX } from 'preact'
import { useId } from 'preact/hooks'
import { plainly } from './wording.ts'

/** The heading of a view; it gets the focus when the view is come to. */
export function Title({ children }: { children: ComponentChildren }) {
  return (
    <h1 id="title" tabIndex={-1}>
      {children}
    </h1>
  )
}

/** Why something is not, or no longer, shown. */
export function Failure({ children }: { children: string | undefined }) {
  return children === undefined ? null : (
    <p class="notice bad" role="alert">
      {plainly(children)}
    </p>
  )
}

/** What has become of something; read out when it changes. It is always there, or its first words would not be read. */
export function Outcome({ children }: { children: string | undefined }) {
  return <div role="status">{children === undefined ? null : <p class="notice good">{plainly(children)}</p>}</div>
}

export function Loading() {
  return <p class="muted">Asking the gateway …</p>
}

export type Tone = 'good' | 'bad' | 'warn' | 'plain'

/** A word that is also a colour, never a colour alone. */
export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>
}

/** Text of strangers: shown as text, in a direction of its own. */
export function Foreign({ text }: { text: string }) {
  return <bdi class="foreign">{plainly(text)}</bdi>
}

export function Code({ text }: { text: string }) {
  return (
    <code>
      <Foreign text={text} />
    </code>
  )
}

export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => ComponentChildren
  readonly isNumber?: boolean
  /** Has buttons and the like: its title is not shown. */
  readonly isAction?: boolean
}

interface TableProps<Row> {
  readonly caption: string
  readonly columns: readonly Column<Row>[]
  readonly rows: readonly Row[]
  readonly keyOf: (row: Row) => string
  /** Said where there are no rows. */
  readonly empty: string
  /** On a narrow screen rows are running text, for lists that are long. */
  readonly isDense?: boolean
}

/**
 * A table; on a narrow screen each row is a card whose lines have the columns' titles. The roles are named because a
 * browser forgets them when cells are no longer laid out as cells.
 */
export function Table<Row>({ caption, columns, rows, keyOf, empty, isDense }: TableProps<Row>) {
  if (rows.length === 0) return <p class="muted">{empty}</p>
  return (
    // biome-ignore-start lint/a11y/noRedundantRoles: see above
    <table role="table" class={isDense === true ? 'dense' : undefined}>
      <caption class="unseen">{caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map(({ title, isNumber, isAction }) => (
            <th key={title} role="columnheader" scope="col" class={isNumber === true ? 'number' : undefined}>
              {isAction === true ? <span class="unseen">{title}</span> : title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row) => (
          <tr key={keyOf(row)} role="row">
            {columns.map(({ title, cell, isNumber, isAction }) => (
              <td
                key={title}
                role="cell"
                data-title={isAction === true ? undefined : title}
                class={isNumber === true ? 'number' : isAction === true ? 'actions' : undefined}
              >
                <span class="value">{cell(row)}</span>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
    // biome-ignore-end lint/a11y/noRedundantRoles: see above
  )
}

/** Names and what they are. */
export function Facts({ facts }: { facts: readonly { name: string; value: ComponentChildren }[] }) {
  return (
    <dl class="facts">
      {facts.map(({ name, value }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

interface FieldProps {
  readonly label: string
  readonly value: string
  readonly onChange: (value: string) => void
  readonly hint?: string
  readonly input?: JSX.IntrinsicElements['input']
}

/** A line to write in, with its label and what may stand there. */
export function Field({ label, value, onChange, hint, input }: FieldProps) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        autocomplete="off"
        spellcheck={false}
        {...input}
        id={id}
        value={value}
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      {hint === undefined ? null : (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  )
}

interface ChoiceProps {
  readonly label: string
  readonly value: string
  readonly onChange: (value: string) => void
  readonly choices: readonly { readonly value: string; readonly text: string }[]
}

export function Choice({ label, value, onChange, choices }: ChoiceProps) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {choices.map((choice) => (
          <option key={choice.value} value={choice.value} selected={choice.value === value}>
            {choice.text}
          </option>
        ))}
      </select>
    </div>
  )
}

interface ActionProps {
  readonly onClick: () => Promise<unknown> | undefined
  readonly isBusy?: boolean
  readonly kind?: 'plain' | 'danger' | 'main'
  /** Says more than the button shows, where there are several alike. */
  readonly label?: string
  readonly children: ComponentChildren
}

/** A button that does something. While it is at it, it keeps the focus and does nothing more. */
export function Action({ onClick, isBusy = false, kind = 'plain', label, children }: ActionProps) {
  return (
    <button
      type="button"
      class={kind}
      aria-disabled={isBusy}
      aria-busy={isBusy}
      aria-label={label}
      onClick={() => void (isBusy || onClick())}
    >
      {children}
    </button>
  )
}
