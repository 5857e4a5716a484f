import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import type { Config } from '../config/config.ts'
import { errorCodeOf } from '../lib/error-code.ts'
import type { ListenAddress } from '../lib/listening.ts'
import { type CliContext, CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { configOption, readConfig } from './reading.ts'

/** The variable that holds the token where no file does. */
export const TOKEN_VARIABLE = 'SESSIONGATE_ADMIN_TOKEN'

/** Above these options in `--help`. */
const GROUP = 'Which gateway:'

const ADDRESSES = 'http://127.0.0.1:9901, or unix:/run/sessiongate/admin.sock'

/** Where a running gateway is asked, as somebody typed it. */
export interface PlaceOptions {
  readonly config: string
  readonly url?: string
  readonly tokenFile?: string
}

/** For commands that can do without a gateway. */
export interface LiveOptions extends PlaceOptions {
  readonly live?: true
}

/** The operator's listener of a gateway, and what opens it. */
export interface OperatorPlace {
  /** For messages. */
  readonly name: string
  /** `http://host:port`, perhaps with a path, without a final slash. */
  readonly url: string
  /** Where it is a Unix socket. */
  readonly socketPath: string | undefined
  /** The certificate that it shows, where the configuration says which; undefined: as anywhere. */
  readonly certificate?: X509Certificate
  readonly token: string
}

/** `--config`, `--url`, `--token-file` of a command that asks a running gateway. */
export function addPlaceOptions(command: Command): Command {
  return withPlace(command.addOption(configOption().helpGroup(GROUP)))
}

/** The same, of one that looks into the store itself unless it is told to ask. */
export function addLiveOptions(command: Command): Command {
  const live = new Option('--live', 'ask the running gateway, where admin.listen of the configuration says')
  return withPlace(command.addOption(configOption()).addOption(live.helpGroup(GROUP)))
}

function withPlace(command: Command): Command {
  const url = new Option('--url <url>', `ask that one: ${ADDRESSES}`)
  const token = `holds its admin.token, \`-\` is stdin; default by the configuration, with --url ${TOKEN_VARIABLE}`
  const tokenFile = new Option('--token-file <file>', token)
  return command.addOption(url.helpGroup(GROUP)).addOption(tokenFile.helpGroup(GROUP))
}

/** Whether a gateway shall be asked: whoever says which, or with what, means that. */
export function isLive({ live, url, tokenFile }: LiveOptions): boolean {
  return live === true || url !== undefined || tokenFile !== undefined
}

/**
 * Where to ask, and with what: never from an argument, since everybody on the machine can read those.
 *
 * @throws {CommandError} with the way out, if either is missing.
 */
export async function findOperator(context: CliContext, options: PlaceOptions): Promise<OperatorPlace> {
  if (options.url !== undefined) {
    const place = placeOfUrl(options.url)
    const token = (await givenToken(context, options)) ?? context.env[TOKEN_VARIABLE]
    if (token === undefined || token === '')
      throw usage(`${place.name} wants a token: put it into ${TOKEN_VARIABLE}, or name a file with --token-file`)
    if (isExposed(place)) context.tell(`the token goes to ${place.name} unencrypted\n`)
    return { ...place, token: sound(token, TOKEN_VARIABLE) }
  }
  const { config } = await readConfig(context, options.config)
  const place = placeOfConfig(config, options.config)
  const token = (await givenToken(context, options)) ?? config.admin?.token?.reveal() ?? context.env[TOKEN_VARIABLE]
  if (token === undefined || token === '')
    throw usage(
      `${options.config} names no admin.token, and without one a gateway answers nobody: add\n` +
        `  admin: { token: "\${file:/run/secrets/admin_token}" }\nand put the output of openssl rand -base64 32 into that file`,
    )
  const [shown] = config.admin?.tls?.certificates ?? []
  const certificate = shown && (await readShown(shown.certFile))
  return { ...place, token: sound(token, TOKEN_VARIABLE), ...(certificate && { certificate }) }
}

/** The first of the file: behind it stands who has issued it, who issues others too. */
async function readShown(path: string): Promise<X509Certificate> {
  try {
    return new X509Certificate(await readFile(path))
  } catch (error) {
    throw usage(`${path}, of admin.tls, cannot be read (${errorCodeOf(error)}); give the address with --url`)
  }
}

async function givenToken(context: CliContext, { tokenFile }: PlaceOptions): Promise<string | undefined> {
  if (tokenFile === undefined) return undefined
  const text = tokenFile === '-' ? await context.readStdin() : await readTokenFile(tokenFile)
  const name = tokenFile === '-' ? 'stdin' : tokenFile
  if (text.trim() === '') throw usage(`${name} holds no token`)
  return sound(text, name)
}

async function readTokenFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw usage(`${path} cannot be read (${errorCodeOf(error)})`)
  }
}

/** What `admin.token` may be; anything else would not travel in a header, or would be two. */
function sound(text: string, name: string): string {
  const token = text.trim()
  if (!/^[\w.~+/=-]+$/.test(token)) throw usage(`${name} holds no token: those have letters, digits and -._~+/= only`)
  return token
}

function placeOfUrl(text: string): Omit<OperatorPlace, 'token'> {
  const [, socketPath] = /^unix:(.+)$/.exec(text) ?? []
  if (socketPath !== undefined) return placeOfSocket(socketPath)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw usage(`--url is an address such as ${ADDRESSES}`)
  if (url.username !== '' || url.password !== '')
    throw usage('--url holds a password, which everybody on this machine can read; leave it out')
  if (url.search !== '' || url.hash !== '') throw usage('--url ends before ? and #')
  const plain = `${url.origin}${url.pathname}`.replace(/\/+$/, '')
  return { name: plain, url: plain, socketPath: undefined }
}

function placeOfConfig({ admin }: Config, file: string): Omit<OperatorPlace, 'token'> {
  if (admin === undefined) throw usage(`admin is off in ${file}: say with --url which gateway is meant`)
  const { address } = admin.listen
  if (address.kind === 'unix') return placeOfSocket(address.path)
  if (address.port === 0)
    throw usage(`admin.listen in ${file} leaves the port to the system: give the address that the log tells with --url`)
  const url = `${admin.tls === undefined ? 'http' : 'https'}://${reachableHost(address)}:${address.port}`
  return { name: url, url, socketPath: undefined }
}

function placeOfSocket(socketPath: string): Omit<OperatorPlace, 'token'> {
  return { name: `unix:${socketPath}`, url: 'http://localhost', socketPath }
}

/** An address that means "all interfaces" is reached by the loopback one. */
export function reachableHost({ host }: Extract<ListenAddress, { kind: 'tcp' }>): string {
  if (host === undefined || host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}

/** Whoever stands on the way to another machine reads along. */
function isExposed({ url, socketPath }: Omit<OperatorPlace, 'token'>): boolean {
  const { protocol, hostname } = new URL(url)
  const isHere = hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
  return socketPath === undefined && protocol === 'http:' && !isHere
}

function usage(message: string): CommandError {
  return new CommandError(exitCodes.usage, message)
}
