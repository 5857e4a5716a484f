import { execFile } from 'node:child_process'
import { access, constants, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { printable } from '../../config/excerpt.ts'
import { errorCodeOf } from '../../lib/error-code.ts'
import { CommandError } from '../context.ts'
import { exitCodes } from '../exit-codes.ts'
import { DJANGO_PROGRAM } from './django-program.ts'

/** What a project may take to be imported. */
const DEADLINE_MS = 60_000

const database = z.object({
  engine: z.string(),
  name: z.string(),
  user: z.string(),
  password: z.string(),
  host: z.string(),
  port: z.string(),
  options: z.record(z.string(), z.unknown()),
})

const cache = z.object({
  backend: z.string(),
  location: z.array(z.string()),
  keyPrefix: z.string(),
  version: z.int(),
  options: z.record(z.string(), z.unknown()),
  hasDjangoKeys: z.boolean(),
})

const settingsSchema = z.object({
  django: z.string(),
  module: z.string(),
  secretKey: z.string().min(1),
  fallbacks: z.array(z.string().min(1)),
  engine: z.string(),
  sessionClass: z.object({
    base: z.enum(['db', 'cache', 'cached_db', 'file', 'signed_cookies']).nullable(),
    saltClass: z.string(),
    table: z.string().optional(),
    keyPrefix: z.string().optional(),
  }),
  serializer: z.string(),
  cookie: z.object({
    name: z.string(),
    age: z.int(),
    domain: z.string().nullable(),
    path: z.string(),
    secure: z.boolean(),
    httponly: z.boolean(),
    samesite: z.union([z.string(), z.literal(false)]),
  }),
  saveEveryRequest: z.boolean(),
  expireAtBrowserClose: z.boolean(),
  filePath: z.string().nullable(),
  database: database.nullable(),
  cacheAlias: z.string(),
  cache: cache.nullable(),
  loginUrl: z.string(),
  loginIsThere: z.boolean().nullable(),
  adminLogin: z.string().nullable(),
  openPaths: z.array(z.string()),
  allowedHosts: z.array(z.string()),
  useTz: z.boolean(),
  staticUrl: z.string().nullable(),
  hasAuth: z.boolean(),
  knowsHttps: z.boolean(),
})

const failureSchema = z.object({ stage: z.enum(['django', 'settings']), why: z.string(), python: z.string() })

/** Settings of a Django project, as Django itself sees them. Secrets are among them. */
export type DjangoSettings = z.output<typeof settingsSchema>
export type DjangoDatabase = z.output<typeof database>
export type DjangoCache = z.output<typeof cache>

export interface DjangoQuestion {
  /** With `manage.py`. */
  readonly folder: string
  /** Default: that of the project's virtual environment, else `python3`. */
  readonly python: string | undefined
  /** `project.settings`; default as `manage.py` has it. */
  readonly settings: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

/** A project, and the Python that is to be run for it. */
export interface DjangoProject {
  readonly folder: string
  readonly python: string
  readonly settings: string
}

/** Looks for the project's settings and its Python; runs nothing. @throws {CommandError} where one of them is not found. */
export async function findDjangoProject({ folder, python, settings, env }: DjangoQuestion): Promise<DjangoProject> {
  const module = settings ?? env.DJANGO_SETTINGS_MODULE ?? (await settingsOfManage(folder))
  const places = [join(folder, '.venv'), join(folder, 'venv'), ...(env.VIRTUAL_ENV ? [env.VIRTUAL_ENV] : [])]
  const candidates = python === undefined ? places.map((place) => resolve(place, 'bin/python')) : []
  for (const candidate of candidates) {
    if (await isExecutable(candidate)) return { folder, python: candidate, settings: module }
  }
  // The program runs in the project's folder; a name without a folder is looked for on PATH.
  return { folder, python: python?.includes('/') ? resolve(python) : (python ?? 'python3'), settings: module }
}

/**
 * Runs the project's settings, which is the one way to know them: they are a program.
 *
 * @throws {CommandError} when they cannot be had, with what is missing.
 */
export async function readDjangoSettings(
  { folder, python, settings }: DjangoProject,
  env: DjangoQuestion['env'],
): Promise<DjangoSettings> {
  const output = await run(python, folder, { ...env, DJANGO_SETTINGS_MODULE: settings })
  const failure = failureSchema.safeParse(output)
  if (failure.success) throw failed(failure.data)
  const read = settingsSchema.safeParse(output)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new CommandError(
    exitCodes.failed,
    `the settings have ${issue?.path.join('.') || 'something'} in a form that is not expected`,
  )
}

async function run(python: string, cwd: string, env: Readonly<Record<string, string | undefined>>): Promise<unknown> {
  try {
    const options = {
      cwd,
      env: { ...env, PYTHONDONTWRITEBYTECODE: '1' },
      timeout: DEADLINE_MS,
      maxBuffer: 4 * 1024 * 1024,
    }
    const { stdout } = await promisify(execFile)(python, ['-c', DJANGO_PROGRAM], options)
    return JSON.parse(stdout)
  } catch (error) {
    // The words of the project, and what it printed, may hold its secrets.
    if (errorCodeOf(error) === 'ENOENT') {
      throw new CommandError(exitCodes.failed, `there is no ${python}: name the project’s own with --python`)
    }
    throw new CommandError(
      exitCodes.failed,
      `${python} ended before the settings could be read; does manage.py check work?`,
    )
  }
}

function failed({ stage, why, python }: z.output<typeof failureSchema>): CommandError {
  const hint =
    stage === 'django'
      ? `${python} has no Django: name the project’s own Python, such as --python .venv/bin/python`
      : `${python} cannot read the settings: set what they need in the environment, as for manage.py`
  return new CommandError(exitCodes.failed, printable(`${hint} (${why})`))
}

async function settingsOfManage(folder: string): Promise<string> {
  const manage = join(folder, 'manage.py')
  const text = await readFile(manage, 'utf8').catch((error: unknown) => {
    throw new CommandError(
      exitCodes.usage,
      `${manage} cannot be read (${errorCodeOf(error)}): name the folder that has it`,
    )
  })
  const module = /DJANGO_SETTINGS_MODULE["']\s*[,\]]\s*=?\s*["']([\w.]+)["']/.exec(text)?.[1]
  if (module !== undefined) return module
  throw new CommandError(exitCodes.usage, `${manage} names no settings: name them with --settings project.settings`)
}

async function isExecutable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
