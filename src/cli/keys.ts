import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { Command, Option } from 'commander'
import { deriveUpstreamKey } from '../assertion/keys.ts'
import { readList } from './answers.ts'
import { type CliContext, CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { openOperatorClient } from './operator-client.ts'
import { addPlaceOptions, type PlaceOptions } from './operator-place.ts'
import { jsonOption } from './options.ts'
import { jsonLine } from './printable.ts'
import { configOption, readConfig } from './reading.ts'
import { paperOf, recordTable, tableText } from './table.ts'

const curves = { EdDSA: 'ed25519', ES256: 'P-256' } as const

/** `keys new`, `keys derive`: what the signing of assertions needs, without a session or a server; and `keys list`. */
export function createKeysCommand(context: CliContext): Command {
  const keys = new Command('keys')
    .description('make signing keys, derive what an app verifies with, list those in force')
    .addHelpText('after', '\nExample:\n  sessiongate keys new')
  keys
    .command('new')
    .description('print a new signing key')
    .addOption(new Option('--algorithm <name>', 'what it is for').choices(['HS256', 'EdDSA', 'ES256']).default('HS256'))
    .addHelpText(
      'after',
      '\nExample:\n  umask 077; sessiongate keys new --algorithm EdDSA > /run/secrets/sessiongate_key',
    )
    .action(({ algorithm }: { algorithm: keyof typeof members }) => {
      context.print(newKey(algorithm))
      if (context.isTerminal) context.tell(entryFor(algorithm, new Date().toISOString().slice(0, 10)))
    })
  keys
    .command('derive')
    .description("print one upstream's HS256 key, base64url: what its app verifies assertions with")
    .requiredOption('--upstream <name>', "the upstream's name, which is the assertion's aud")
    .option('--key <id>', 'the id of the key; default the first, which signs')
    .addOption(configOption())
    .addHelpText('after', '\nExample:\n  sessiongate keys derive --upstream app --config config/sessiongate.yaml')
    .action(async (options: { upstream: string; key?: string; config: string }) => {
      context.print(`${await derive(context, options)}\n`)
    })
  keys.addCommand(createListCommand(context))
  return keys
}

function createListCommand(context: CliContext): Command {
  return addPlaceOptions(
    new Command('list')
      .description('list the keys of the running gateway and their ages: ids, never secrets; the first signs')
      .addOption(jsonOption())
      .addHelpText('after', '\nExample:\n  sessiongate keys list')
      .action(async (options: PlaceOptions & { json?: boolean }) => {
        await using gateway = await openOperatorClient(context, options)
        const answer = await gateway.ask('/api/keys')
        if (options.json) context.print(jsonLine(answer))
        else context.print(tableText(...recordTable(readList(answer)), paperOf(context)))
      }),
  )
}

const members = { HS256: 'secret', EdDSA: 'private_key', ES256: 'private_key' } as const

/** The lines for the file. The key itself goes to stdout, and from there into a file of its own. */
function entryFor(algorithm: keyof typeof members, today: string): string {
  const text = `"\${file:/run/secrets/sessiongate_key}"`
  return `keys:\n  - { id: "${today}", created: ${today}, ${members[algorithm]}: ${text} }\n`
}

function newKey(algorithm: 'HS256' | 'EdDSA' | 'ES256'): string {
  if (algorithm === 'HS256') return `${randomBytes(48).toString('base64url')}\n`
  const { privateKey } =
    algorithm === 'EdDSA' ? generateKeyPairSync(curves.EdDSA) : generateKeyPairSync('ec', { namedCurve: curves.ES256 })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

async function derive(
  context: CliContext,
  options: { upstream: string; key?: string; config: string },
): Promise<string> {
  const { config } = await readConfig(context, options.config)
  if (!config.upstreams.has(options.upstream)) {
    const known = [...config.upstreams.keys()].join(', ')
    throw new CommandError(exitCodes.usage, `no upstream is called ${options.upstream}; the file has: ${known}`)
  }
  const { keys } = config.signing
  if (keys.generated) {
    const secret = await context.readGeneratedSigningKey()
    return deriveUpstreamKey(secret, options.upstream).toString('base64url')
  }
  const key = options.key === undefined ? keys.keys[0] : keys.keys.find(({ id }) => id === options.key)
  if (key?.kind !== 'secret') {
    throw new CommandError(exitCodes.usage, 'only HS256 keys are derived; apps verify the others by the JWKS document')
  }
  return deriveUpstreamKey(key.secret.reveal(), options.upstream).toString('base64url')
}
