import { until } from '../support/deadline.ts'
import { type SteadyProbe, startSteadyProbe } from '../support/steady-probe.ts'
import { type FaultGate, openGate } from './stage.ts'

/** Every answer names the request that it is for. */
const handler = ({ url }: { readonly url: string }) => ({ body: url === '/well' ? 'well' : url })

function flawOf({ status, body, path }: { status: number; body: string; path: string }): string | undefined {
  if (status !== 200) return `status ${status}`
  return body === path ? undefined : `the answer to ${body} came to ${path}`
}

export interface WorkerGate extends FaultGate {
  /** So many requests a second, each answer looked at. */
  probe(perSecond: number): SteadyProbe
}

/** Two workers before an app that does not fail, `/probe/…` for the probes. */
export async function openWorkers(sections = ''): Promise<WorkerGate> {
  const gate = await openGate('http://127.0.0.1:9', {
    handler,
    sections: `workers: 2\n${sections}`,
    wellPaths: '[/well, /well/*, /probe/*]',
  })
  const startProbe = (perSecond: number) => startSteadyProbe({ url: gate.gateway.url, perSecond, flawOf })
  return Object.assign(gate, { probe: startProbe })
}

export function countOf({ gateway }: FaultGate, message: string): number {
  return gateway.log.filter(({ msg }) => msg === message).length
}

export function startsOf(gate: FaultGate): number {
  return countOf(gate, 'worker started')
}

export function noticesOf(gate: FaultGate): number {
  return countOf(gate, 'worker ended, it is replaced')
}

export function isLoggedAsStarted({ gateway }: FaultGate, pid: number): boolean {
  return gateway.log.some((line) => line.msg === 'worker started' && line.pid === pid)
}

/** When the supervisor had said so for the nth time. */
export async function noticed(gate: FaultGate, count: number): Promise<number> {
  await until('the supervisor has noticed', () => noticesOf(gate) === count)
  return performance.now()
}
