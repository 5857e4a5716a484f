import type { UpstreamView } from '../../../src/admin/views.ts'
import { useErrand } from '../errand.ts'
import { Action, Badge, Code, Failure, Loading, Outcome, Table, Title } from '../parts.tsx'
import { useResource } from '../resource.ts'
import { useApi, useConfirm } from '../surroundings.ts'
import { counted, plainly } from '../wording.ts'

const EVERY_MS = 5_000

type Server = UpstreamView['servers'][number]

/** The apps, and how each of their servers is seen. */
export function Upstreams() {
  const api = useApi()
  const confirm = useConfirm()
  const { value, failure, refresh } = useResource<UpstreamView[]>('/api/upstreams', EVERY_MS)
  const errand = useErrand()

  const drain = (upstream: string, { server, drained }: Server) =>
    errand.run(async () => {
      const text = `${server} of ${upstream} gets no new requests until it is resumed, unless it is the only server.`
      if (!drained && !(await confirm({ title: 'Drain this server?', text, action: 'Drain' }))) return undefined
      const verb = drained ? 'resume' : 'drain'
      await api.post(`/api/upstreams/${encodeURIComponent(upstream)}/${verb}`, { server })
      await refresh()
      return drained ? `${server} takes part again.` : `${server} is drained.`
    })

  return (
    <>
      <Title>Upstreams</Title>
      <Outcome>{errand.outcome}</Outcome>
      <Failure>{errand.failure ?? failure}</Failure>
      {value === undefined ? failure === undefined && <Loading /> : null}
      {value?.map((upstream) => (
        <Upstream key={upstream.name} upstream={upstream} isBusy={errand.isBusy} onDrain={drain} />
      ))}
    </>
  )
}

interface UpstreamProps {
  readonly upstream: UpstreamView
  readonly isBusy: boolean
  readonly onDrain: (upstream: string, server: Server) => Promise<void>
}

function Upstream({ upstream, isBusy, onDrain }: UpstreamProps) {
  const { name, balance, connections, servers } = upstream
  const id = `upstream-${name}`
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{plainly(name)}</h2>
      <p class="muted">
        {connections.active} connections in use, {connections.idle} idle, {connections.pending} requests waiting;
        balanced by {balance.replace('_', ' ')}
      </p>
      <Table
        caption={`Servers of ${plainly(name)}`}
        rows={servers}
        keyOf={({ server }) => server}
        empty="There is none."
        columns={[
          { title: 'Server', cell: ({ server }) => <Code text={server} /> },
          { title: 'State', cell: (server) => <State server={server} /> },
          { title: 'Left out so far', cell: ({ ejections }) => counted(ejections, 'time') },
          {
            title: 'Drain or resume',
            isAction: true,
            cell: (server) => (
              <Action
                isBusy={isBusy}
                label={`${server.drained ? 'Resume' : 'Drain'} ${server.server}`}
                onClick={() => onDrain(name, server)}
              >
                {server.drained ? 'Resume' : 'Drain …'}
              </Action>
            ),
          },
        ]}
      />
    </section>
  )
}

function State({ server: { up, drained } }: { server: Server }) {
  return (
    <>
      <Badge tone={up ? 'good' : 'bad'}>{up ? 'up' : 'down'}</Badge>
      {drained ? <Badge tone="warn">drained</Badge> : null}
    </>
  )
}
