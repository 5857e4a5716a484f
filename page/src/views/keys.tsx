import type { KeyView } from '../../../src/admin/views.ts'
import { Badge, Code, Failure, Loading, Table, Title } from '../parts.tsx'
import { useResource } from '../resource.ts'

/** The keys by their ids, how old they are, and whether they are still needed; the secrets are not told to anybody. */
export function Keys() {
  const { value, failure } = useResource<KeyView[]>('/api/keys')
  return (
    <>
      <Title>Keys</Title>
      <Failure>{failure}</Failure>
      <section class="card" aria-label="Signing keys">
        <p class="muted">
          With those for assertions apps check that a header comes from the gateway; those for sessions are Django’s
          SECRET_KEY and its fallbacks. Secrets are never shown.
        </p>
        {value === undefined ? (
          failure === undefined && <Loading />
        ) : (
          <Table
            caption="Signing keys"
            rows={value}
            keyOf={({ purpose, id }) => `${purpose} ${id}`}
            empty="There are none."
            columns={[
              { title: 'Id', cell: ({ id }) => <Code text={id} /> },
              { title: 'For', cell: ({ purpose }) => purpose },
              { title: 'Algorithm', cell: ({ algorithm }) => algorithm },
              {
                title: 'Use',
                cell: ({ signs }) =>
                  signs ? <Badge tone="good">signs</Badge> : <Badge tone="plain">still accepted</Badge>,
              },
              {
                title: 'Age',
                cell: ({ age_seconds: age }) => (age === null ? '–' : `${Math.floor(age / 86_400)} days`),
              },
              { title: 'Sessions read', cell: ({ sessions_read: read }) => (read === null ? '–' : String(read)) },
            ]}
          />
        )}
      </section>
    </>
  )
}
