import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'yaml'

const deploy = resolve(import.meta.dirname, '../../deploy')

export const alertsFile = resolve(deploy, 'prometheus/alerts.yml')
export const alertTestsFile = resolve(deploy, 'prometheus/alerts.test.yml')

export interface Alert {
  readonly alert: string
  readonly expr: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** The alerts that are shipped. */
export function readAlerts(): Alert[] {
  const { groups } = parse(readFileSync(alertsFile, 'utf8')) as { groups: { rules: Alert[] }[] }
  return groups.flatMap(({ rules }) => rules)
}

export interface Panel {
  readonly id: number
  readonly title: string
  readonly type: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly expr: string; readonly refId: string }[]
}

/** The panels of the dashboard that is shipped, rows among them. */
export function readPanels(): Panel[] {
  return (JSON.parse(readFileSync(resolve(deploy, 'grafana/sessiongate.json'), 'utf8')) as { panels: Panel[] }).panels
}

export interface PanelQuery {
  /** The title of its panel. */
  readonly panel: string
  /** With Grafana's variables filled in: one job, every instance. */
  readonly expression: string
}

/** Every query of the dashboard. */
export function readPanelQueries(rateInterval: string): PanelQuery[] {
  return readPanels().flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      panel: title,
      expression: expr
        .replaceAll('$__rate_interval', rateInterval)
        .replaceAll('$job', 'sessiongate')
        .replaceAll('$instance', '.*'),
    })),
  )
}
