import { Command, InvalidArgumentError } from 'commander'
import { type Answer, isAnswer } from './answers.ts'
import { type CliContext, CommandError } from './context.ts'
import { readEvents } from './event-stream.ts'
import { exitCodes } from './exit-codes.ts'
import { interruptible } from './interruption.ts'
import { openOperatorClient } from './operator-client.ts'
import { addPlaceOptions, type PlaceOptions } from './operator-place.ts'
import { parsePause } from './options.ts'
import { jsonLine } from './printable.ts'
import { thousands } from './progress.ts'
import { isWanted, parsePathPattern, parseStatuses, type RequestFilter, requestText } from './request-line.ts'
import { paperOf } from './table.ts'

interface Options extends PlaceOptions {
  readonly status?: (status: number) => boolean
  readonly route?: readonly string[]
  readonly path?: (path: string) => boolean
  readonly for?: number
  readonly json?: boolean
}

/** `tail`: requests of the running gateway as they end, until Ctrl-C. */
export function createTailCommand(context: CliContext): Command {
  return addPlaceOptions(
    new Command('tail')
      .description('watch the requests of the running gateway as they end, until Ctrl-C')
      .option('--status <list>', 'only those with such a status: 404, 5xx, or several with commas', readStatuses)
      .option('--route <id...>', 'only those of these routes')
      .option('--path <path>', 'only those of that path; /admin/* is all below', readPath)
      .option('--for <time>', 'end after so long: 30s', parsePause)
      .option('--json', 'JSON lines, as in the log; in a pipe that is so anyway')
      .addHelpText('after', '\nExample:\n  sessiongate tail --status 401,403,5xx --for 30s')
      .action((options: Options) => tail(context, options)),
  )
}

async function tail(context: CliContext, options: Options): Promise<void> {
  await using gateway = await openOperatorClient(context, options)
  await interruptible(context, async (interruption) => {
    const time = options.for === undefined ? [] : [AbortSignal.timeout(options.for)]
    const signal = AbortSignal.any([interruption, ...time])
    try {
      for await (const { name, data } of readEvents(gateway.stream('/api/requests', signal))) {
        if (name === 'request') show(context, options, data)
        if (name === 'left_out') tellLeftOut(context, data)
      }
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    if (signal.aborted) return
    throw new CommandError(
      exitCodes.failed,
      `the gateway at ${gateway.name} has ended the stream: it stops, or its admin has changed`,
    )
  })
}

function show(context: CliContext, options: Options, data: string): void {
  const line = parseLine(data)
  if (line === undefined || !isWanted(line, filterOf(options))) return
  const isForPeople = context.outputColumns !== undefined && options.json !== true
  context.print(isForPeople ? requestText(line, paperOf(context)) : jsonLine(line))
}

function tellLeftOut(context: CliContext, data: string): void {
  const count = Number(parseLine(data)?.count)
  context.tell(`${thousands(count)} requests were left out: they come faster than they are read here\n`)
}

function filterOf({ status, route, path }: Options): RequestFilter {
  return {
    ...(status && { isStatus: status }),
    ...(route && { routes: new Set(route) }),
    ...(path && { isPath: path }),
  }
}

function parseLine(data: string): Answer | undefined {
  try {
    const line: unknown = JSON.parse(data)
    return isAnswer(line) ? line : undefined
  } catch {
    return undefined
  }
}

function readStatuses(text: string): (status: number) => boolean {
  const isStatus = parseStatuses(text)
  if (isStatus === undefined) throw new InvalidArgumentError('Such as 404, 5xx, or 401,403,5xx.')
  return isStatus
}

function readPath(text: string): (path: string) => boolean {
  const isPath = parsePathPattern(text)
  if (isPath === undefined) throw new InvalidArgumentError('Such as /login, or /admin/* for all below.')
  return isPath
}
