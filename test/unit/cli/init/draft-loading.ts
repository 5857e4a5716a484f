import assert from 'node:assert/strict'
import type { Draft } from '../../../../src/cli/init/draft.ts'
import { checkDraft } from '../../../../src/cli/init/writing.ts'
import type { Config } from '../../../../src/config/config.ts'
import { loadConfig } from '../../../../src/config/loading.ts'
import { formatProblems } from '../../../../src/config/problem.ts'

/** Where the drafts of these tests go. */
export const config = 'config/sessiongate.yaml'
export const secrets = 'config/secrets'

/** As `check` reads it; nothing is worth a warning but that the doors are open which have to be. */
export async function loaded(draft: Draft): Promise<Config> {
  const warnings = await checkDraft(draft, config, {})
  const others = warnings.filter(
    ({ message }) => !/^the route "(static|login|open)" is open to strangers/.test(message),
  )
  assert.equal(formatProblems(others), '')
  const texts = new Map(draft.files.map(({ path, text }) => [`${process.cwd()}/${path}`, Buffer.from(text)]))
  const readFile = async (path: string) => texts.get(path) ?? assert.fail(`${path} is not in the draft`)
  return (await loadConfig({ path: config, env: {}, readFile })).config
}

/** The YAML of a draft. */
export function yamlOf(draft: Draft): string {
  return draft.files.find(({ kind }) => kind === 'yaml')?.text ?? ''
}
