import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Command } from 'commander'
import { printable } from '../config/excerpt.ts'
import { errorCodeOf } from '../lib/error-code.ts'
import { type CliContext, CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { draftForDjango } from './init/django.ts'
import { findDjangoProject, readDjangoSettings } from './init/django-settings.ts'
import type { Draft } from './init/draft.ts'
import {
  draftForApp,
  hasPassword,
  parseAppAddress,
  parseLoginPage,
  parseStore,
  type StoreAnswer,
} from './init/plain.ts'
import { checkDraft, writeDraft } from './init/writing.ts'
import { configOption } from './reading.ts'

interface InitOptions {
  readonly config: string
  readonly app?: string
  readonly login?: string
  readonly store?: string
  readonly host: readonly string[]
  readonly listen: string
  readonly force?: true
  readonly fromDjango?: string
  readonly python?: string
  readonly settings?: string
}

const examples = `
Example:
  sessiongate init --app http://127.0.0.1:8000 --login /login --store sqlite --config config/shop.yaml
  sessiongate init --from-django /srv/shop --config config/sessiongate.yaml

On a terminal it asks for what is not given; elsewhere that has its default. --from-django runs the settings of the project,
with the project's own Python, as manage.py does. Secrets go into a folder beside the configuration, one file each.`

/** `init`: a first configuration, that `check` finds sound. */
export function createInitCommand(context: CliContext): Command {
  return new Command('init')
    .description('write a first configuration: from three questions, or from a Django project')
    .option('--app <url>', 'where the app listens; default http://127.0.0.1:8000')
    .option('--login <page>', 'its login page, a path or an address elsewhere; default /login')
    .option('--store <where>', `sqlite, redis://…, postgres://… or a \${…} that holds one; default sqlite`)
    .option(
      '--host <name>',
      'a name that it is served under; may be repeated',
      (name, names) => [...names, name],
      [] as string[],
    )
    .option('--listen <address>', 'where browsers connect', '127.0.0.1:8080')
    .option('--from-django <dir>', 'read the settings of the project in that folder, by running them')
    .option('--python <path>', 'the Python of the project; default its .venv, VIRTUAL_ENV, python3')
    .option('--settings <module>', 'its settings; default those that manage.py names')
    .option('--force', 'write over files that are there')
    .addOption(configOption())
    .addHelpText('after', examples)
    .action(async (options: InitOptions) => {
      const secrets = join(dirname(options.config), 'secrets')
      // It stands within `${file:…}`, which ends at the first of these.
      if (/[}\n]/.test(secrets))
        throw new CommandError(exitCodes.usage, 'the path of --config has a "}" or a line break in it')
      const draft = await (options.fromDjango === undefined ? askForApp : askDjango)(context, options, secrets)
      await put(context, draft, { options, secrets })
    })
}

async function put(
  context: CliContext,
  draft: Draft,
  { options, secrets }: { readonly options: InitOptions; readonly secrets: string },
): Promise<void> {
  const warnings = await checkDraft(draft, options.config, context.env)
  const written = await writeDraft(draft, secrets, options.force === true)
  const say = (text: string): void => context.print(`${printable(text)}\n`)
  for (const path of written) say(`written: ${path}`)
  const remarks = [...warnings.map(({ message }) => `check says: ${message}`), ...draft.notes]
  if (remarks.length > 0) context.print('\nworth knowing:\n')
  for (const text of remarks) say(`  - ${text}`)
  context.print('\nnext:\n')
  for (const command of ['check', 'doctor', 'serve']) say(`  sessiongate ${command} --config ${options.config}`)
  say(`then open http://${options.listen.replace(/^:/, 'localhost:').replace(/^127\.0\.0\.1:/, 'localhost:')}/`)
}

async function askForApp(context: CliContext, options: InitOptions, secrets: string): Promise<Draft> {
  const app = await answerTo(context, {
    given: options.app,
    ...{ question: 'Where does the app listen?', standard: 'http://127.0.0.1:8000', parse: parseAppAddress },
    wrong: 'write http://host:port, https://host or unix:/path',
  })
  const login = await askForLogin(context, options.login)
  const store = await askForStore(context, options.store)
  const hosts = options.host.length > 0 ? options.host : ['localhost', '127.0.0.1']
  return draftForApp({ app, login, store, hosts, listen: options.listen, config: options.config, secrets })
}

async function askForLogin(context: CliContext, given: string | undefined): Promise<string> {
  return await answerTo(context, {
    given,
    ...{ question: 'On which page do users log in?', standard: '/login', parse: parseLoginPage },
    wrong: 'write a path such as /login, or https://login.example.com/',
  })
}

async function askForStore(context: CliContext, given: string | undefined): Promise<StoreAnswer> {
  const reference = given?.startsWith('${') ? given : undefined
  if (reference !== undefined) return await referredStore(context, reference)
  // Every user of the machine can read the arguments of a process.
  if (given !== undefined && hasPassword(given)) {
    const way = `--store '\${STORE_URL}' with the address in the environment, or --store '\${file:PATH}'`
    throw new CommandError(exitCodes.usage, `--store has a password in it, and others can read it there: write ${way}`)
  }
  return await answerTo(context, {
    given,
    ...{
      question: 'Where are sessions kept: sqlite, redis://… or postgres://…?',
      standard: 'sqlite',
      parse: parseStore,
    },
    wrong: 'write sqlite, redis://host:6379/0 or postgres://user:password@host:5432/name',
  })
}

async function referredStore({ env }: CliContext, reference: string): Promise<StoreAnswer> {
  const [, file, name] = /^\$\{(?:file:([^}]+)|([A-Za-z_]\w*))\}$/.exec(reference) ?? []
  const text = file === undefined ? env[name ?? ''] : await readFile(file, 'utf8').catch(errorCodeOf)
  const store = parseStore(text?.trim() ?? '')
  if (store !== undefined) return { ...store, reference }
  throw new CommandError(
    exitCodes.usage,
    `${reference} holds no address of a store: set it to redis://… or postgres://…`,
  )
}

async function askDjango(context: CliContext, options: InitOptions, secrets: string): Promise<Draft> {
  const { config, listen, host: hosts, fromDjango = '.', python, settings: module } = options
  if (options.store !== undefined) {
    throw new CommandError(exitCodes.usage, '--store and --from-django: the project says where its sessions are')
  }
  const folder = resolve(fromDjango)
  const project = await findDjangoProject({ folder, python, settings: module, env: context.env })
  context.tell(`${printable(`runs the settings ${project.settings} in ${folder} with ${project.python}`)}\n`)
  const settings = await readDjangoSettings(project, context.env)
  const app = await answerTo(context, {
    given: options.app,
    ...{ question: 'Where does Django listen?', standard: 'http://127.0.0.1:8000', parse: parseAppAddress },
    wrong: 'write http://host:port, https://host or unix:/path',
  })
  const login = options.login === undefined ? undefined : await askForLogin(context, options.login)
  return draftForDjango({ settings, folder, app, hosts, listen, login, config, secrets })
}

interface Question<T> {
  /** By an option; then nobody is asked. */
  readonly given: string | undefined
  readonly question: string
  readonly standard: string
  readonly parse: (text: string) => T | undefined
  readonly wrong: string
}

/** From the command line, from the terminal, or the default. @throws {CommandError} for an option that cannot be used. */
async function answerTo<T>(context: CliContext, { given, question, standard, parse, wrong }: Question<T>): Promise<T> {
  for (let text = given; ; text = undefined) {
    const asked = text ?? (await context.ask?.(`${question} [${standard}] `))?.trim()
    const answer = parse(asked || standard)
    if (answer !== undefined) return answer
    if (given !== undefined || context.ask === undefined) {
      throw new CommandError(exitCodes.usage, `${JSON.stringify(asked)}: ${wrong}`)
    }
    context.tell(`${wrong}\n`)
  }
}
