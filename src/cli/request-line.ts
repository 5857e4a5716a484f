import { type Answer, cellOf, textOf } from './answers.ts'
import { printable } from './printable.ts'
import { type Paper, type Tone, toned } from './table.ts'
import { cutToWidth } from './text-width.ts'

/** Which requests somebody wants to see; absent: all. */
export interface RequestFilter {
  readonly isStatus?: (status: number) => boolean
  readonly routes?: ReadonlySet<string>
  readonly isPath?: (path: string) => boolean
}

/** `404`, `5xx`, or several with commas; undefined for anything else. */
export function parseStatuses(text: string): ((status: number) => boolean) | undefined {
  const wanted = text.split(',').map((word) => word.trim().toLowerCase())
  if (!wanted.every((word) => /^[1-5](?:\d\d|xx)$/.test(word))) return undefined
  return (status) => wanted.some((word) => (word.endsWith('xx') ? word[0] === `${status}`[0] : word === `${status}`))
}

/** A path as routes have it: exact, or `/admin/*` for `/admin` and all below; undefined for anything else. */
export function parsePathPattern(text: string): ((path: string) => boolean) | undefined {
  if (!text.startsWith('/') || /\*(?!$)/.test(text) || /[^/]\*$/.test(text)) return undefined
  if (!text.endsWith('/*')) return (path) => path === text
  const stem = text.slice(0, -2)
  return (path) => path === stem || path.startsWith(`${stem}/`)
}

export function isWanted(line: Answer, { isStatus, routes, isPath }: RequestFilter): boolean {
  if (isStatus !== undefined && !isStatus(Number(line['http.response.status_code']))) return false
  if (routes !== undefined && !routes.has(textOf(line['http.route']))) return false
  return isPath === undefined || isPath(textOf(line['url.path']))
}

/** A line of the access log for somebody who watches: what was asked, what became of it, and why. */
export function requestText(line: Answer, paper: Paper): string {
  const status = cellOf(line['http.response.status_code'])
  const why = [
    line['http.route'],
    line['local.reason'] ?? line.outcome,
    line['auth.reason'],
    line['auth.mode'],
    line['session.state'] === undefined ? undefined : `session ${cellOf(line['session.state'])}`,
    line['writeback.result'] === undefined ? undefined : `write-back ${cellOf(line['writeback.result'])}`,
    line['upstream.address'],
    line['error.type'],
    line['error.message'],
  ]
  const words = why.filter((word) => word !== undefined && word !== null).map(cellOf)
  const duration = typeof line.duration_ms === 'number' ? `${line.duration_ms.toFixed(1)} ms` : '-'
  const head = `${textOf(line.time).slice(11, 23).padEnd(12)}  `
  const rest = `  ${cellOf(line['http.request.method']).padEnd(6)}  ${duration.padStart(10)}  ${cellOf(line['url.path'])}  ${words.join(' · ')}`
  const room = paper.columns === undefined ? undefined : Math.max(1, paper.columns - head.length - status.length)
  const shown = printable(rest)
  const tone = toneOf(status)
  const colouredStatus = tone === undefined ? printable(status) : toned(printable(status), tone, paper)
  return `${printable(head)}${colouredStatus}${room === undefined ? shown : cutToWidth(shown, room)}\n`
}

function toneOf(status: string): Tone | undefined {
  if (status.startsWith('5')) return 'bad'
  return status.startsWith('4') ? 'odd' : undefined
}
