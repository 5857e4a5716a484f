import { Command } from 'commander'
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/problem.ts'
import { ConfigSnapshot } from '../config/snapshot.ts'
import { readOpenFilesLimit } from '../lib/open-files.ts'
import { type CliContext, CommandError } from './context.ts'
import { ANSWER_MS, type Area, type AreaReport, examineAreas } from './doctor/areas.ts'
import { diagnoseCertificates } from './doctor/certificates.ts'
import { diagnoseCookie, diagnoseKeys, diagnoseProblems, diagnoseTrust } from './doctor/configuration.ts'
import { listenerAreas } from './doctor/listeners.ts'
import { reportJson, reportText, tallyOf, tallyText } from './doctor/report.ts'
import { diagnoseResources, diagnoseRuntime } from './doctor/runtime.ts'
import { diagnoseFiles } from './doctor/secrets.ts'
import { upstreamAreas } from './doctor/upstreams.ts'
import { examineVerifier, parseStatuses, type VerifierOptions } from './doctor/verifier.ts'
import { exitCodes } from './exit-codes.ts'
import { configOption, readServedConfig } from './reading.ts'

interface DoctorOptions extends Partial<VerifierOptions> {
  readonly config: string
  readonly json?: true
  readonly verifyUpstream?: string
}

const examples = `
Example:
  sessiongate doctor --config config/sessiongate.yaml
  sessiongate doctor --json --config config/sessiongate.yaml
  sessiongate doctor --verify-upstream http://127.0.0.1:8000/ --config config/sessiongate.yaml

--verify-upstream asks that page of an app once as the gateway does, and several times as it never would, and says which of
these it accepted. Exit code: 0 nothing or only warnings, 1 a fault, 78 the configuration is wrong.`

/** `doctor`: everything around the configuration that can be seen from outside, each with what to do about it. */
export function createDoctorCommand(context: CliContext): Command {
  return new Command('doctor')
    .description('look at everything around the gateway (ports, apps, stores, clocks, keys, files) and say what to do')
    .option('--json', 'as JSON')
    .option('--verify-upstream <url>', 'instead: does the app at that address verify what it is sent?')
    .option('--upstream <name>', 'with it: as which upstream; default the one with a server there')
    .option('--key <id>', 'with it: the key that signs; default the first')
    .option('--expect-status <codes>', 'with it: what the app answers when it accepts: 2xx, 200, 302', parseStatuses)
    .option('--session <json>', 'with it: the data of the session; default somebody called doctor')
    .addOption(configOption())
    .addHelpText('after', examples)
    .action(async (options: DoctorOptions) => {
      const { reports, isSound } = await examine(context, options)
      const tally = tallyOf(reports)
      if (options.json) context.print(reportJson(reports, options.config))
      else context.print(`${reportText(reports)}\n${options.config}: ${tallyText(tally)}\n`)
      if (!isSound) throw new CommandError(exitCodes.configuration, '')
      if (tally.faults > 0) throw new CommandError(exitCodes.failed, '')
    })
}

interface Findings {
  readonly reports: readonly AreaReport[]
  /** The configuration can be used. */
  readonly isSound: boolean
}

async function examine(context: CliContext, options: DoctorOptions): Promise<Findings> {
  const runtime: Area = {
    name: 'runtime',
    examine: () => diagnoseRuntime(process.versions.node, process.getuid?.()),
  }
  const snapshot = new ConfigSnapshot()
  try {
    const { config, warnings } = await readServedConfig(context, options.config, snapshot)
    if (options.verifyUpstream !== undefined) {
      const verifier = { ...options, url: options.verifyUpstream, readGeneratedKey: context.readGeneratedSigningKey }
      return { reports: [await examineVerifier(config, verifier)], isSound: true }
    }
    const file: Area = { name: 'configuration', examine: () => diagnoseProblems(options.config, warnings) }
    const areas = [runtime, file, ...(await areasOf(context, config, snapshot))]
    return { reports: await examineAreas(areas), isSound: true }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const { problems } = error
    const file: Area = { name: 'configuration', examine: () => diagnoseProblems(options.config, problems) }
    return { reports: await examineAreas([runtime, file]), isSound: false }
  }
}

async function areasOf(context: CliContext, config: Config, { files }: ConfigSnapshot): Promise<Area[]> {
  const openFiles = readOpenFilesLimit()
  return [
    { name: 'resources', examine: () => diagnoseResources(config, { openFiles }) },
    ...listenerAreas(config),
    { name: 'trusted proxies', examine: () => diagnoseTrust(config) },
    ...upstreamAreas(config),
    ...(await context.storeExaminations(config, ANSWER_MS)),
    { name: 'cookie', examine: () => diagnoseCookie(config) },
    { name: 'keys', examine: () => diagnoseKeys(config) },
    { name: 'files', examine: () => diagnoseFiles(config, files) },
    { name: 'certificates', examine: () => diagnoseCertificates(config, Date.now()) },
  ]
}
