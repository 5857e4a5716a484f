import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { eventually, freePort } from './redis-program.ts'
import type { Requirement } from './requirement.ts'

/** One series of an answer: its labels, and its value now; NaN is one. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: number
}

/** A real Prometheus of this test alone, on a port of 127.0.0.1, with its data in a folder that is removed. */
export interface PrometheusServer extends AsyncDisposable {
  readonly url: string
  /**
   * An instant query, now.
   *
   * @throws {Error} what Prometheus says of an expression that it cannot evaluate.
   */
  query(expression: string): Promise<Sample[]>
  /** `data` of another answer of its API: `/targets`, `/rules`. */
  read(path: string): Promise<unknown>
}

/** What goes into `prometheus.yml`. */
export interface PrometheusConfig {
  readonly global?: Readonly<Record<string, string>>
  readonly rule_files?: readonly string[]
  readonly scrape_configs: readonly object[]
}

export async function startPrometheus({ path }: Requirement, config: PrometheusConfig): Promise<PrometheusServer> {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-prometheus-'))
  const file = join(folder, 'prometheus.yml')
  await writeFile(file, stringify(config))
  const address = `127.0.0.1:${await freePort()}`
  const args = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=${address}`,
  ]
  const child = spawn(path, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  const endWithUs = () => child.kill('SIGKILL')
  process.once('exit', endWithUs)
  const exited = once(child, 'exit').finally(() => process.off('exit', endWithUs))
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  const url = `http://${address}`
  await eventually('Prometheus', async () => {
    if (child.exitCode !== null) throw new Error(`Prometheus ended with ${child.exitCode}: ${log}`)
    return await fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
  })
  const read = async (path: string): Promise<unknown> => {
    const answer = (await (await fetch(`${url}/api/v1${path}`)).json()) as ApiAnswer
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`)
    return answer.data
  }
  return {
    url,
    read,
    async query(expression) {
      const { result } = (await read(`/query?query=${encodeURIComponent(expression)}`)) as { result: RawSample[] }
      return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }))
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}

interface ApiAnswer {
  readonly status: string
  readonly error?: string
  readonly data?: unknown
}

interface RawSample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}
