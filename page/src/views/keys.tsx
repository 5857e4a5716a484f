import type { KeyView } from '../../../src/admin/views.ts'
import { Badge, Code, Failure, Loading, Table, Title } from '../parts.tsx'
import { useResource } from '../resource.ts'

/** The keys of assertions by their ids; the secrets are not told to anybody. */
export function Keys() {
  const { value, failure } = useResource<KeyView[]>('/api/keys')
  return (
    <>
      <Title>Keys</Title>
      <Failure>{failure}</Failure>
      <section class="card" aria-label="Signing keys">
        <p class="muted">Apps check with them that a header comes from the gateway. Secrets are never shown.</p>
        {value === undefined ? (
          failure === undefined && <Loading />
        ) : (
          <Table
            caption="Signing keys"
            rows={value}
            keyOf={({ id }) => id}
            empty="There are none."
            columns={[
              { title: 'Id', cell: ({ id }) => <Code text={id} /> },
              { title: 'Algorithm', cell: ({ algorithm }) => algorithm },
              {
                title: 'Use',
                cell: ({ signs }) =>
                  signs ? <Badge tone="good">signs</Badge> : <Badge tone="plain">still accepted by apps</Badge>,
              },
            ]}
          />
        )}
      </section>
    </>
  )
}
