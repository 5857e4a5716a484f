import { Command } from 'commander'
import { type Answer, cellOf, isAnswer, listOf, readList, textOf } from './answers.ts'
import { type CliContext, CommandError } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { type OperatorClient, openOperatorClient } from './operator-client.ts'
import { addPlaceOptions, type PlaceOptions } from './operator-place.ts'
import { jsonOption } from './options.ts'
import { jsonLine, printable } from './printable.ts'
import { type Cell, paperOf, tableText } from './table.ts'

const HEADINGS = ['UPSTREAM', 'SERVER', 'STATE', 'PUT OUT', 'BALANCE', 'ACTIVE', 'IDLE', 'WAITING']

interface Options extends PlaceOptions {
  readonly json?: boolean
}

/** `upstreams [list]|drain|resume`: how the running gateway sees the apps, and which server shall get no more requests. */
export function createUpstreamsCommand(context: CliContext): Command {
  const upstreams = new Command('upstreams')
    .description('see how the apps are, take a server out and back')
    .addHelpText('after', '\nExample:\n  sessiongate upstreams')
  upstreams.addCommand(createListCommand(context), { isDefault: true })
  upstreams.addCommand(createSwitchCommand(context, 'drain'))
  upstreams.addCommand(createSwitchCommand(context, 'resume'))
  return upstreams
}

function createListCommand(context: CliContext): Command {
  return addPlaceOptions(
    new Command('list')
      .description('list the upstreams of the running gateway, their servers and connections')
      .addOption(jsonOption())
      .addHelpText('after', '\nExample:\n  sessiongate upstreams list --json')
      .action(async (options: Options) => {
        await using gateway = await openOperatorClient(context, options)
        const answer = await gateway.ask('/api/upstreams')
        if (options.json) context.print(jsonLine(answer))
        else context.print(tableText(HEADINGS, readList(answer).flatMap(rowsOf), paperOf(context)))
      }),
  )
}

function createSwitchCommand(context: CliContext, act: 'drain' | 'resume'): Command {
  const isDrain = act === 'drain'
  return addPlaceOptions(
    new Command(act)
      .description(isDrain ? 'give a server no new requests' : 'let a drained server take part again')
      .argument('<upstream>')
      .argument('<server>', 'as in the list')
      .addOption(jsonOption())
      .addHelpText('after', `\nExample:\n  sessiongate upstreams ${act} app 127.0.0.1:8000`)
      .action(async (upstream: string, server: string, options: Options) => {
        await using gateway = await openOperatorClient(context, options)
        const answer = await gateway.ask(`/api/upstreams/${encodeURIComponent(upstream)}/${act}`, { body: { server } })
        if (answer === undefined) throw await unknownServer(gateway, upstream, server)
        if (options.json) context.print(jsonLine(answer))
        else context.print(`${isDrain ? 'drained' : 'resumed'} ${printable(server)} of ${printable(upstream)}\n`)
        if (isDrain) await tellIfAll(context, gateway, upstream)
      }),
  )
}

function rowsOf({ name, balance, connections, servers }: Answer): Cell[][] {
  const { active, idle, pending } = isAnswer(connections) ? connections : {}
  const rows = listOf(servers).map((server) => [cellOf(server.server), stateOf(server), cellOf(server.ejections)])
  const shared = [cellOf(balance), cellOf(active), cellOf(idle), cellOf(pending)]
  const [first = ['-', '-', '-'], ...others] = rows
  return [[cellOf(name), ...first, ...shared], ...others.map((row) => ['', ...row])]
}

function stateOf({ up, drained }: Answer): Cell {
  if (drained === true) return { text: up === true ? 'drained' : 'drained, down', tone: 'odd' }
  return up === true ? { text: 'up', tone: 'good' } : { text: 'down', tone: 'bad' }
}

/** With the names that there are: they are typed by hand. */
async function unknownServer(gateway: OperatorClient, upstream: string, server: string): Promise<CommandError> {
  const all = listOf(await gateway.ask('/api/upstreams'))
  const found = all.find(({ name }) => name === upstream)
  const names = (
    found === undefined ? all.map(({ name }) => name) : listOf(found.servers).map((one) => one.server)
  ).map(cellOf)
  const what = found === undefined ? `no upstream is called ${upstream}` : `${upstream} has no server ${server}`
  return new CommandError(exitCodes.failed, printable(`${what}; there are: ${names.join(', ')}`))
}

/** Nobody else could take the requests, so a drained server gets them all the same: whoever stops it should know. */
async function tellIfAll(context: CliContext, gateway: OperatorClient, upstream: string): Promise<void> {
  const found = listOf(await gateway.ask('/api/upstreams')).find(({ name }) => textOf(name) === upstream)
  const servers = listOf(found?.servers)
  if (servers.length > 0 && servers.every(({ drained }) => drained === true))
    context.tell(`${printable(upstream)} has no other server, so requests go there all the same\n`)
}
