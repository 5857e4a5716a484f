import type { RouteView } from '../../../src/admin/views.ts'
import { Badge, Code, Failure, Loading, Table, Title } from '../parts.tsx'
import type { Place } from '../place.ts'
import { RequestTester } from '../request-tester.tsx'
import { useResource } from '../resource.ts'
import { plainly } from '../wording.ts'

/** Why a request is answered as it is: the tester, and the routes in the order in which they are tried. */
export function Routes({ place }: { place: Place }) {
  const routes = useResource<RouteView[]>('/api/routes')
  return (
    <>
      <Title>Routes</Title>
      <RequestTester asked={place.asked} />
      <section class="card" aria-labelledby="all-routes">
        <h2 id="all-routes">All routes</h2>
        <p class="muted">The first that fits counts.</p>
        <Failure>{routes.failure}</Failure>
        {routes.value === undefined ? <Loading /> : <RouteTable routes={routes.value} />}
      </section>
    </>
  )
}

function RouteTable({ routes }: { routes: readonly RouteView[] }) {
  return (
    <Table
      caption="Routes in the order in which they are tried"
      rows={routes}
      keyOf={({ id }) => id}
      empty="There are none."
      columns={[
        { title: 'Route', cell: ({ id }) => <b>{plainly(id)}</b> },
        { title: 'Paths', cell: ({ paths, methods, hosts }) => <Match {...{ paths, methods, hosts }} /> },
        { title: 'App', cell: ({ upstream }) => plainly(upstream) },
        { title: 'Who may', cell: (route) => <Access route={route} /> },
      ]}
    />
  )
}

function Match({ paths, methods, hosts }: Pick<RouteView, 'paths' | 'methods' | 'hosts'>) {
  const more = [...methods, ...hosts.map((host) => `on ${host}`)]
  return (
    <>
      {paths.length === 0 ? 'any path' : paths.map((path) => <Code key={path} text={path} />)}
      {more.length === 0 ? null : <span class="muted"> {more.map(plainly).join(', ')}</span>}
    </>
  )
}

const who = { public: 'everybody', optional: 'everybody; the app is told who', required: 'who is logged in' } as const

function Access({ route: { auth, require, allow, mode, session, csrf } }: { route: RouteView }) {
  return (
    <>
      {session ? who[auth] : 'everybody, without a session'}
      {require.length === 0 ? null : (
        <>
          , with <Code text={require.join(', ')} />
        </>
      )}
      {allow === null ? null : (
        <>
          , if <Code text={allow} />
        </>
      )}
      {csrf === 'same-site' ? <span class="muted"> not from other sites</span> : null}
      {mode === 'observe' ? <Badge tone="warn">observe</Badge> : null}
    </>
  )
}
