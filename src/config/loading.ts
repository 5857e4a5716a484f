import { readFile as readFileFromDisk } from 'node:fs/promises'
import { resolve } from 'node:path'
import { systemClock } from '../lib/clock.ts'
import { openCertificateCheck } from './certificate-files.ts'
import { checks } from './checks/all.ts'
import type { Check, CheckContext } from './checks/context.ts'
import type { Config } from './config.ts'
import type { Finding } from './finding.ts'
import { type Path, pathKey } from './path.ts'
import { ConfigError, locateFindings, type Problem } from './problem.ts'
import { resolveConfig } from './resolution.ts'
import type { FileConfig } from './schema/file.ts'
import { withoutCredentials } from './sensitivity.ts'
import { MAX_FILE_BYTES, readSource, type Source, withoutExtensions } from './source.ts'
import { substitute } from './substitution.ts'
import { treeAt } from './tree.ts'
import { type Validated, validate } from './validation.ts'

export interface LoadOptions {
  /** Of the YAML file; also its name in messages. */
  readonly path: string
  /** For `${NAME}`, and for the temporary directory. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Reads the YAML file and those named by `${file:…}`. Default: from the disk. */
  readonly readFile?: (path: string) => Promise<Uint8Array>
  /** Where relative paths start. Default: the working directory of the process. */
  readonly workingDirectory?: string
  /** Looks into the certificate files of the listeners too. Only who serves needs them, and may read the keys. Default false. */
  readonly checksCertificates?: boolean
}

export interface LoadedConfig {
  readonly config: Config
  /** What is worth knowing; nothing that hinders. */
  readonly warnings: readonly Problem[]
}

/**
 * Reads and checks a configuration file.
 *
 * @throws {ConfigError} with everything that is wrong at once. Nothing else is thrown, whatever the file holds.
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const { path, env, readFile = readFileFromDisk, workingDirectory = process.cwd() } = options
  const readText = async (file: string) => decode(await readFile(resolve(workingDirectory, file)))
  const source = readSource(await readConfigText(path, readText), path)
  if (!source.isWellFormed) throw new ConfigError(locateFindings(source.findings, source))

  const substituted = await substitute(withoutExtensions(source.tree), { env, readFile: readText })
  const validated = validate({ ...substituted, broken: [...substituted.broken, ...lostPaths(source)] })
  const { file } = validated
  const findings = [...source.findings, ...substituted.findings, ...validated.findings]
  if (file !== undefined) {
    const around = { readFile, workingDirectory, now: systemClock() }
    const further = options.checksCertificates === true ? [await openCertificateCheck(file, around)] : []
    findings.push(...crossCheck(file, { validated, substituted, checks: [...checks, ...further] }))
  }
  const problems = locateFindings(findings, source)
  if (file === undefined || problems.some(({ severity }) => severity === 'error')) throw new ConfigError(problems)

  const temporary = env.TMPDIR || env.TEMP || env.TMP || '/tmp'
  return { config: resolveConfig(file, { working: workingDirectory, temporary }), warnings: problems }
}

/** Values that YAML itself could not give, such as an alias without anchor; they have been told. */
function lostPaths({ findings, tree }: Source): Path[] {
  return findings.map(({ path }) => path).filter((path) => path.length > 0 && treeAt(tree, path) === null)
}

function crossCheck(
  file: FileConfig,
  about: {
    readonly validated: Validated
    readonly substituted: { readonly tree: Source['tree']; readonly outside: ReadonlySet<string> }
    readonly checks: readonly Check[]
  },
): Finding[] {
  const { originOf, isUnsure } = about.validated
  const { tree, outside } = about.substituted
  const findings: Finding[] = []
  const context: CheckContext = {
    file,
    isUnsure: (path) => isUnsure(originOf(path)),
    isWritten: (path) => treeAt(tree, originOf(path)) !== undefined,
    quote(path, text) {
      return outside.has(pathKey(originOf(path))) ? 'the substituted value' : JSON.stringify(withoutCredentials(text))
    },
    error: (path, remark) => findings.push({ severity: 'error', path: originOf(path), ...remark }),
    warn: (path, remark) => findings.push({ severity: 'warning', path: originOf(path), ...remark }),
  }
  for (const check of about.checks) check(context)
  return findings
}

async function readConfigText(path: string, readText: (path: string) => Promise<string>): Promise<string> {
  try {
    return await readText(path)
  } catch (cause) {
    const problem = { severity: 'error', file: path, path: 'the file', ...unreadable(cause) } as const
    throw new ConfigError([problem], { cause })
  }
}

function unreadable(cause: unknown): { message: string; hint: string } {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable'
  switch (code) {
    case 'ENOENT':
      return { message: 'there is no such file', hint: 'name one with --config FILE' }
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return { message: 'the file is not UTF-8', hint: 'save it as UTF-8' }
    case 'ERR_FILE_TOO_LARGE':
      return { message: `the file is larger than ${MAX_FILE_BYTES} bytes`, hint: 'a configuration is smaller' }
    default:
      return { message: `the file cannot be read (${code})`, hint: 'check its path and permissions' }
  }
}

/** UTF-8, strictly: a replaced byte in a secret would be another secret. A byte order mark is not part of the text. */
function decode(bytes: Uint8Array): string {
  if (bytes.byteLength > MAX_FILE_BYTES) {
    throw Object.assign(new RangeError('the file is too large'), { code: 'ERR_FILE_TOO_LARGE' })
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
}
