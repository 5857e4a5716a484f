import type { Report } from './report.ts'
import { GATEWAY, type ScenarioResult } from './scenario.ts'
import { digits, type Spread } from './spread.ts'
import { situationOf } from './table.ts'

/** One bar, with the range of its rounds. */
interface Bar {
  readonly label: string
  readonly ratio: Spread
  readonly kind: 'gateway' | 'session' | 'proxy'
}

interface Panel {
  readonly title: string
  readonly bars: readonly Bar[]
}

const WIDTH = 880
const LABEL_WIDTH = 230
/** Room for the figure behind the longest whisker. */
const FIGURE_WIDTH = 60
const ROW = 28
const PANEL_HEAD = 64

/** Horizontal bars: CPU time of a request over nginx's. Colours follow the reader's choice of light and dark. */
export function pictureOf({ scenarios }: Report): string {
  const panels = [warmPanel(scenarios), ...situationPanel(scenarios)].filter(({ bars }) => bars.length > 0)
  const heights = panels.map(({ bars }) => PANEL_HEAD + bars.length * ROW + 16)
  const drawn = panels.map((panel, i) => {
    const top = heights.slice(0, i).reduce((sum, height) => sum + height, 0)
    return `  <g transform="translate(0 ${top})">\n${panelOf(panel)}\n  </g>`
  })
  const height = heights.reduce((sum, one) => sum + one, 0) + legendHeight
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title text">
  <title id="title">CPU time of one request, over that of nginx that only proxies</title>
  <desc id="text">${escaped(panels.map(wordsOf).join(' '))}</desc>
  <style>
    text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
    .head { font-weight: 600; font-size: 15px } .note { font-size: 12px; fill: #59636e }
    .end { text-anchor: end } .mid { text-anchor: middle } .strong { font-weight: 600 }
    .grid { stroke: #d1d9e0 } .one { stroke: #59636e; stroke-dasharray: 3 3 } .range { stroke: #1f2328; stroke-width: 1.5 }
    .gateway { fill: #0969da } .session { fill: #bc8c00 } .proxy { fill: #afb8c1 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .note { fill: #9198a1 }
      .grid { stroke: #3d444d } .one { stroke: #9198a1 } .range { stroke: #e6edf3 }
      .gateway { fill: #4493f8 } .session { fill: #9e7700 } .proxy { fill: #59636e }
    }
  </style>
${drawn.join('\n')}
${legendAt(height - legendHeight)}
</svg>
`
}

const legendHeight = 40
const legend: readonly [kind: Bar['kind'], text: string][] = [
  ['gateway', 'sessiongate'],
  ['session', 'holds sessions too'],
  ['proxy', 'proxies only'],
]

function legendAt(top: number): string {
  return legend
    .map(([kind, text], i) => {
      const x = LABEL_WIDTH + i * 160
      return `  <rect class="${kind}" x="${x}" y="${top + 8}" width="14" height="14" rx="2"/>
  <text class="note" x="${x + 20}" y="${top + 19}">${text}</text>`
    })
    .join('\n')
}

function warmPanel(scenarios: readonly ScenarioResult[]): Panel {
  const lines = scenarios.find(({ name }) => name === 'warm')?.lines ?? []
  const bars = lines.map(({ name, ratio, work }): Bar => ({ label: name, ratio, kind: work ?? 'gateway' }))
  return {
    title: 'A warm session: CPU time of one request, nginx = 1',
    bars: bars.toSorted((a, b) => a.ratio.median - b.ratio.median),
  }
}

function situationPanel(scenarios: readonly ScenarioResult[]): Panel[] {
  const bars = scenarios
    .filter(({ name, growth }) => name !== 'warm' && growth === undefined)
    .flatMap((result) =>
      result.lines
        .filter(({ name }) => name.startsWith(GATEWAY))
        .map((line): Bar => ({ label: situationOf(result, line), ratio: line.ratio, kind: 'gateway' })),
    )
  return [{ title: 'sessiongate in other situations, each over nginx with the same requests', bars }]
}

function panelOf({ title, bars }: Panel): string {
  const most = Math.max(...bars.map(({ ratio }) => ratio.high), 1)
  const step = stepFor(most)
  const scale = (WIDTH - LABEL_WIDTH - FIGURE_WIDTH) / (Math.ceil(most / step) * step)
  const bottom = PANEL_HEAD + bars.length * ROW
  const x = (ratio: number): string => (LABEL_WIDTH + ratio * scale).toFixed(1)
  const isMixed = bars.some(({ kind }) => kind !== 'gateway')
  const marks = Array.from({ length: Math.ceil(most / step) + 1 }, (_, i) => i * step)
  return [
    `    <text class="head" x="16" y="26">${escaped(title)}</text>`,
    ...marks.map(
      (mark) =>
        `    <path class="grid" d="M${x(mark)} ${PANEL_HEAD - 8}V${bottom}"/>` +
        `<text class="note mid" x="${x(mark)}" y="${PANEL_HEAD - 14}">${mark}</text>`,
    ),
    `    <path class="one" d="M${x(1)} ${PANEL_HEAD - 8}V${bottom}"/>`,
    ...bars.map((bar, i) => barOf(bar, { top: PANEL_HEAD + i * ROW, x, isStrong: isMixed && bar.kind === 'gateway' })),
  ].join('\n')
}

interface Place {
  readonly top: number
  /** Where that ratio lies. */
  readonly x: (ratio: number) => string
  readonly isStrong: boolean
}

function barOf({ label, ratio: { median, low, high }, kind }: Bar, { top, x, isStrong }: Place): string {
  const middle = top + 10
  const width = (Number(x(median)) - LABEL_WIDTH).toFixed(1)
  const weight = isStrong ? ' strong' : ''
  return `    <text class="end${weight}" x="${LABEL_WIDTH - 10}" y="${top + 14}">${escaped(label)}</text>
    <rect class="${kind}" x="${LABEL_WIDTH}" y="${top}" width="${width}" height="20" rx="2"/>
    <path class="range" d="M${x(low)} ${middle - 4}v8M${x(low)} ${middle}H${x(high)}M${x(high)} ${middle - 4}v8"/>
    <text class="${weight.trim()}" x="${(Number(x(Math.max(median, high))) + 8).toFixed(1)}" y="${top + 14}">${digits(median)}</text>`
}

/** 1, 2 or 5 times a power of ten, so that there are at most ten marks. */
function stepFor(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most / 10))
  return [1, 2, 5, 10].map((times) => times * power).find((step) => most / step <= 10) ?? 10 * power
}

/** The picture in words, for who does not see it. */
function wordsOf({ title, bars }: Panel): string {
  return `${title}. ${bars.map(({ label, ratio }) => `${label} ${digits(ratio.median)}`).join('; ')}.`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
