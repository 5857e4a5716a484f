import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from './deadline.ts'
import type { LogLine, TestGateway } from './gateway.ts'

const ends = [
  'configuration reloaded',
  'configuration not reloaded, the one before stays in force',
  'configuration is in order again',
]

/** The line that the next reload ends with, once `act` has caused it. */
export async function reloadBy(gateway: TestGateway, act: () => Promise<unknown> | unknown): Promise<LogLine> {
  const seen = gateway.log.length
  await act()
  let found: LogLine | undefined
  await until('the configuration is read again', () => {
    found = gateway.log.slice(seen).find(({ msg }) => ends.includes(msg))
    return found !== undefined
  })
  if (found === undefined) throw new Error('no line')
  return found
}

/** The file that the gateway was started with. */
export function configFile({ folder }: Pick<TestGateway, 'folder'>): string {
  return join(folder, 'sessiongate.yaml')
}

/** Puts another file in the place of the configuration, as editors and most tools do. */
export async function putConfig(gateway: Pick<TestGateway, 'folder'>, text: string): Promise<void> {
  const file = configFile(gateway)
  await writeFile(`${file}.new`, text)
  await rename(`${file}.new`, file)
}
