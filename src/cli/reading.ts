import { Option } from 'commander'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/loading.ts'
import type { Problem } from '../config/problem.ts'
import { ConfigSnapshot } from '../config/snapshot.ts'
import { type CliContext, DEFAULT_CONFIG, type ServedConfig } from './context.ts'

export function configOption(): Option {
  return new Option('--config <file>', 'the YAML file').default(DEFAULT_CONFIG)
}

export interface LoadedConfig {
  readonly config: Config
  readonly warnings: readonly Problem[]
}

/** @throws {ConfigError} with everything that is wrong in the file. */
export async function readConfig(context: CliContext, path: string): Promise<LoadedConfig> {
  return await loadConfig({ path, env: context.env })
}

/**
 * The same for who is about to serve: the certificate files are looked into too. The other commands may be run by
 * somebody who must not read the keys, and while a certificate is being renewed.
 *
 * @param snapshot What it has read is not read again; default: an empty one.
 * @throws {ConfigError}
 */
export async function readServedConfig(
  { env }: Pick<CliContext, 'env'>,
  path: string,
  snapshot = new ConfigSnapshot(),
): Promise<ServedConfig> {
  return { ...(await loadConfig({ path, env, checksCertificates: true, readFile: snapshot.read })), snapshot }
}
