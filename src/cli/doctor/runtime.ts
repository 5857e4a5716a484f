import { availableParallelism } from 'node:os'
import type { Config } from '../../config/config.ts'
import { type Diagnosis, good, warning } from '../../lib/diagnosis.ts'
import { explainRuntime } from '../../lib/runtime-floor.ts'

/** The Node that runs this, and the user that it runs as. */
export function diagnoseRuntime(version: string, userId: number | undefined): Diagnosis[] {
  const old = explainRuntime(version)
  return [
    old === undefined ? good(`Node ${version}`) : warning(old, 'take one of these, or newer'),
    ...(userId === 0
      ? [warning('this runs as root, and root may read and write what the gateway’s user may not', asItsUser)]
      : []),
  ]
}

const asItsUser = 'run it as the user of the gateway: sudo -u sessiongate sessiongate doctor'

/** Of open files, for what is neither a client nor an app; and below this a busy page of many pictures is too much. */
const RESERVED = 128
const FEW_FILES = 4096

/** What the process may have open, and how many processes there are. */
export function diagnoseResources(
  { limits, workers }: Pick<Config, 'limits' | 'workers'>,
  machine: { readonly openFiles: number | undefined; readonly cores?: number },
): Diagnosis[] {
  const { openFiles, cores = availableParallelism() } = machine
  return [...diagnoseOpenFiles(limits.connections, openFiles), ...diagnoseWorkers(workers, cores)]
}

function diagnoseOpenFiles(connections: number | undefined, openFiles: number | undefined): Diagnosis[] {
  if (openFiles === undefined) return [good('the system does not limit open files, or does not say')]
  const room = Math.floor(((openFiles - Math.min(RESERVED, openFiles / 4)) * 7) / 8)
  const advice = `raise it where the gateway is started: LimitNOFILE=65536 (systemd), ulimit -n 65536 (shell)`
  if (connections !== undefined && connections > room) {
    const text = `limits.connections allows ${connections} clients, and ${openFiles} open files hold about ${room}`
    return [warning(text, advice)]
  }
  if (openFiles < FEW_FILES) return [warning(`${openFiles} open files hold about ${room} clients`, advice)]
  return [good(`${openFiles} open files are allowed in this shell, for about ${room} clients of a process`)]
}

function diagnoseWorkers(workers: number, cores: number): Diagnosis[] {
  const have = `${workers} worker${workers === 1 ? '' : 's'} on ${cores} core${cores === 1 ? '' : 's'}`
  if (workers > cores) {
    return [warning(`${have}: more than one for each core only take each other’s time`, 'write workers: auto')]
  }
  return [good(have, workers < cores && cores > 2 ? 'workers: auto takes one for each core' : undefined)]
}
