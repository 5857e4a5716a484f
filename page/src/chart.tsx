import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'

export interface ChartLine {
  readonly label: string
  /** Name of a custom property of the style sheet, such as `--line-1`. */
  readonly colour: string
  /** Lines differ by more than their colour. */
  readonly dash?: readonly number[]
  readonly values: readonly (number | null)[]
}

interface ChartProps {
  /** Seconds since 1970, rising. */
  readonly at: readonly number[]
  readonly lines: readonly ChartLine[]
  readonly text: (value: number | null | undefined) => string
}

const HEIGHT = 170
/** A chart of the first minute is not stretched over the whole width. */
const LEAST_SECONDS = 600

/**
 * Lines over time. What is drawn says nothing to a screen reader, so it is hidden from it: the numbers stand in the
 * legend, and as a table below (`SeriesTable`).
 */
export function Chart({ at, lines, text }: ChartProps) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const [pointed, setPointed] = useState<number | null>()
  const scheme = useColourScheme()
  const shape = lines.map(({ label }) => label).join('\n')

  // Drawn anew for other lines and other colours; the numbers are put in below.
  useEffect(() => {
    const box = place.current
    if (box === null) return
    const drawn = new uPlot(optionsOf(box, { lines, text, onPoint: setPointed }), dataOf(at, lines), box)
    plot.current = drawn
    const watcher = new ResizeObserver(() => drawn.setSize({ width: box.clientWidth, height: HEIGHT }))
    watcher.observe(box)
    return () => {
      watcher.disconnect()
      drawn.destroy()
    }
  }, [shape, scheme])

  useEffect(() => {
    plot.current?.setData(dataOf(at, lines))
  }, [at, lines, shape, scheme])

  const shown = pointed ?? at.length - 1
  return (
    <>
      <ul class="legend">
        {lines.map(({ label, colour, dash, values }) => (
          <li key={label}>
            <svg class="swatch" viewBox="0 0 18 4" aria-hidden="true">
              <line x1="0" y1="2" x2="18" y2="2" stroke={`var(${colour})`} stroke-dasharray={dash?.join(' ')} />
            </svg>
            {label} <b>{text(values[shown])}</b>
          </li>
        ))}
      </ul>
      <div class="plot" ref={place} aria-hidden="true" />
    </>
  )
}

function dataOf(at: readonly number[], lines: readonly ChartLine[]): uPlot.AlignedData {
  return [[...at], ...lines.map(({ values }) => [...values])]
}

function useColourScheme(): boolean {
  const [isDark, setDark] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches)
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)')
    const follow = () => setDark(query.matches)
    query.addEventListener('change', follow)
    return () => query.removeEventListener('change', follow)
  }, [])
  return isDark
}

interface Drawing extends Pick<ChartProps, 'lines' | 'text'> {
  readonly onPoint: (index: number | null | undefined) => void
}

function optionsOf(box: HTMLElement, { lines, text, onPoint }: Drawing): uPlot.Options {
  const style = getComputedStyle(box)
  const colour = (name: string): string => style.getPropertyValue(name).trim()
  const axis: uPlot.Axis = {
    stroke: colour('--muted'),
    font: `11px ${style.fontFamily}`,
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  }
  return {
    width: box.clientWidth,
    height: HEIGHT,
    padding: [10, 20, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: {
      x: { range: (_, min, max) => [Math.min(min, max - LEAST_SECONDS), max] },
      y: { range: (_, __, max) => [0, max > 0 ? max * 1.15 : 1] },
    },
    axes: [
      { ...axis, space: 60, size: 28, values: (_, ticks) => ticks.map(clockText) },
      { ...axis, space: 30, size: 56, values: (_, ticks) => ticks.map(text) },
    ],
    series: [
      {},
      ...lines.map(({ label, colour: name, dash }) => ({
        label,
        stroke: colour(name),
        width: 1.75,
        points: { show: false },
        ...(dash === undefined ? {} : { dash: [...dash] }),
      })),
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx)] },
  }
}

function clockText(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })
}
