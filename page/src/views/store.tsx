import { useState } from 'preact/hooks'
import type { StoreView } from '../../../src/admin/views.ts'
import { useErrand } from '../errand.ts'
import { Action, Badge, Facts, Failure, Loading, Outcome, Title } from '../parts.tsx'
import { useResource } from '../resource.ts'
import { useApi, useConfirm } from '../surroundings.ts'
import { counted, millisText, plainly } from '../wording.ts'

const EVERY_MS = 10_000

type Counts = Pick<StoreView, 'sessions' | 'expired'>

/** Where sessions live: whether it answers, how fast, how much it holds. */
export function Store() {
  const api = useApi()
  const confirm = useConfirm()
  const { value, failure } = useResource<StoreView>('/api/store', EVERY_MS)
  const [counts, setCounts] = useState<Counts>()
  const errand = useErrand()

  const countAll = () =>
    errand.run(async () => {
      const { sessions, expired } = await api.get<StoreView>('/api/store?count=true')
      setCounts({ sessions, expired })
      if (sessions === null) return 'The store cannot tell.'
      const waiting = expired === null ? '' : `; ${counted(expired, 'expired session')} not deleted yet`
      return `${counted(sessions, 'session')}${waiting}.`
    })
  const clear = () =>
    errand.run(async () => {
      const text = 'Sessions whose time is up are deleted from the store now; nobody is logged out by it.'
      if (!(await confirm({ title: 'Clear expired sessions?', text, action: 'Clear' }))) return undefined
      const { cleared } = await api.post<{ cleared: number }>('/api/store/clear-expired', {})
      setCounts((last) => last && { ...last, expired: last.expired && 0 })
      return `${counted(cleared, 'expired session')} deleted.`
    })

  return (
    <>
      <Title>Store</Title>
      <Outcome>{errand.outcome}</Outcome>
      <Failure>{errand.failure ?? failure}</Failure>
      <section class="card" aria-label="The store">
        {value === undefined ? failure === undefined && <Loading /> : <About store={value} counts={counts} />}
        <div class="buttons">
          <Action isBusy={errand.isBusy} onClick={countAll}>
            Count sessions
          </Action>
          <Action kind="danger" isBusy={errand.isBusy} onClick={clear}>
            Clear expired …
          </Action>
        </div>
      </section>
    </>
  )
}

function About({ store, counts }: { store: StoreView; counts: Counts | undefined }) {
  const { engine, up, latency_seconds, local_cache } = store
  return (
    <Facts
      facts={[
        { name: 'Engine', value: plainly(engine) },
        { name: 'State', value: <Badge tone={up ? 'good' : 'bad'}>{up ? 'up' : 'down'}</Badge> },
        { name: 'Answers in', value: millisText(latency_seconds) },
        { name: 'Kept in the process', value: plainly(local_cache) },
        { name: 'Sessions', value: countText(counts?.sessions) },
        { name: 'Expired, not deleted yet', value: countText(counts?.expired) },
      ]}
    />
  )
}

/** Undefined: nobody has counted. Null: the store cannot tell, or forgets by itself. */
function countText(count: number | null | undefined): string {
  return count === undefined ? 'not counted yet' : (count?.toLocaleString('en') ?? '–')
}
