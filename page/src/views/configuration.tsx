import { useMemo, useState } from 'preact/hooks'
import type { ConfigurationView, ReloadView } from '../../../src/admin/views.ts'
import { useErrand } from '../errand.ts'
import { flatValues } from '../flat-values.ts'
import { Action, Badge, Code, Facts, Failure, Field, Loading, Outcome, Table, Title } from '../parts.tsx'
import { useResource } from '../resource.ts'
import { useApi } from '../surroundings.ts'
import { plainly } from '../wording.ts'

/** Rows that are shown until more are asked for. */
const FIRST_ROWS = 40

type Problem = ConfigurationView['file']['problems'][number]

/** What is in force, what the file says by now, and the way from the one to the other. */
export function Configuration() {
  const api = useApi()
  const { value, failure, refresh } = useResource<ConfigurationView>('/api/configuration')
  const errand = useErrand()
  const reload = () =>
    errand.run(async () => {
      const { taken, hash } = await api.post<ReloadView>('/api/reload', {})
      await refresh()
      if (!taken)
        throw new Error('It was not taken; the configuration before stays in force. What is wrong stands below.')
      return `The file is in force: ${hash}.`
    })
  return (
    <>
      <Title>Configuration</Title>
      <Outcome>{errand.outcome}</Outcome>
      <Failure>{errand.failure ?? failure}</Failure>
      {value === undefined ? (
        failure === undefined && <Loading />
      ) : (
        <>
          <section class="card" aria-labelledby="file">
            <h2 id="file">The file</h2>
            <FileState configuration={value} />
            <div class="buttons">
              <Action kind="main" isBusy={errand.isBusy} onClick={reload}>
                Reload
              </Action>
              <Action onClick={refresh}>Look again</Action>
            </div>
          </section>
          <InForce values={value.in_force} />
        </>
      )}
    </>
  )
}

function FileState({ configuration: { hash, file } }: { configuration: ConfigurationView }) {
  const { path, is_valid, differences, problems } = file
  return (
    <>
      <Facts
        facts={[
          { name: 'Path', value: <Code text={path} /> },
          { name: 'In force', value: <Code text={hash} /> },
          { name: 'State', value: <FileBadge isValid={is_valid} differences={differences.length} /> },
        ]}
      />
      {problems.length === 0 ? null : <Problems problems={problems} />}
      {differences.length === 0 ? null : (
        <Table
          caption="Where the file differs from what is in force"
          rows={differences}
          keyOf={({ path: place }) => place}
          empty="Nowhere."
          columns={[
            { title: 'Where', cell: ({ path: place }) => <Code text={place} /> },
            { title: 'In force', cell: ({ in_force }) => <Code text={JSON.stringify(in_force)} /> },
            { title: 'In the file', cell: ({ in_file }) => <Code text={JSON.stringify(in_file)} /> },
          ]}
        />
      )}
    </>
  )
}

function FileBadge({ isValid, differences }: { isValid: boolean; differences: number }) {
  if (!isValid) return <Badge tone="bad">cannot be used</Badge>
  if (differences === 0) return <Badge tone="good">in force</Badge>
  return <Badge tone="warn">differs from what is in force</Badge>
}

function Problems({ problems }: { problems: readonly Problem[] }) {
  return (
    <ul class="problems">
      {problems.map(({ file, line, message }) => (
        <li key={`${file}:${line}:${message}`}>
          {file === null ? null : (
            <span class="muted">
              <Code text={line === null ? file : `${file}:${line}`} />{' '}
            </span>
          )}
          {plainly(message)}
        </li>
      ))}
    </ul>
  )
}

function InForce({ values }: { values: Readonly<Record<string, unknown>> }) {
  const [sought, setSought] = useState('')
  const [isWhole, setWhole] = useState(false)
  const all = useMemo(() => flatValues(values), [values])
  const wanted = sought.trim().toLowerCase()
  const found = all.filter(({ path, text }) => `${path} ${text}`.toLowerCase().includes(wanted))
  return (
    <section class="card" aria-labelledby="in-force">
      <h2 id="in-force">In force</h2>
      <p class="muted">With all defaults. Secrets are [redacted], durations milliseconds.</p>
      <Field label="Filter" value={sought} onChange={setSought} input={{ type: 'search' }} />
      <Table
        caption="Configuration in force"
        isDense
        rows={isWhole ? found : found.slice(0, FIRST_ROWS)}
        keyOf={({ path }) => path}
        empty="Nothing has that in it."
        columns={[
          { title: 'Key', cell: ({ path }) => <Code text={path} /> },
          { title: 'Value', cell: ({ text }) => <Code text={text} /> },
        ]}
      />
      {isWhole || found.length <= FIRST_ROWS ? null : (
        <div class="buttons">
          <Action onClick={async () => setWhole(true)}>Show all {found.length}</Action>
        </div>
      )}
    </section>
  )
}
