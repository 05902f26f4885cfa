import { PANEL_ROWS } from './grafana-panels.ts'
import type { PanelTable, Query, StatTable } from './grafana-queries.ts'

/** Grafana's grid has 24 columns; heights are in its units. */
const COLUMNS = 24
const HEIGHTS = { row: 1, stat: 4, timeseries: 8 } as const
const DATA_SOURCE = { type: 'prometheus', uid: `\${datasource}` } as const
/** Of Grafana 10; later versions convert it when they load it. */
const SCHEMA_VERSION = 39
const INSTANCES = 'label_values(up{job="darkroom"}, instance)'

/** The content of packaging/grafana/darkroom.json. */
export function grafanaDashboard(): string {
  return `${JSON.stringify(dashboard(), undefined, 2)}\n`
}

function dashboard() {
  return {
    title: 'Darkroom',
    uid: 'darkroom',
    description: 'Generated from tools/docs/grafana-panels.ts. docs/metrics.md lists the metrics.',
    tags: ['darkroom'],
    schemaVersion: SCHEMA_VERSION,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: { list: [dataSourceVariable(), instanceVariable()] },
    annotations: { list: [] },
    panels: panels(),
  }
}

function dataSourceVariable() {
  return { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', refresh: 1 }
}

function instanceVariable() {
  return {
    name: 'instance',
    label: 'Node',
    type: 'query',
    datasource: DATA_SOURCE,
    definition: INSTANCES,
    query: { query: INSTANCES, refId: 'instance' },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { selected: true, text: ['All'], value: ['$__all'] },
  }
}

function panels(): readonly object[] {
  const all: object[] = []
  let y = 0
  function add(height: number, row: readonly object[]): void {
    const width = Math.floor(COLUMNS / row.length)
    for (const [at, panel] of row.entries()) {
      all.push({ id: all.length + 1, ...panel, gridPos: { x: at * width, y, w: width, h: height } })
    }
    y += height
  }
  for (const { title, stats, graphs } of PANEL_ROWS) {
    add(HEIGHTS.row, [{ type: 'row', title, collapsed: false, panels: [] }])
    if (stats) add(HEIGHTS.stat, Object.entries(stats).map(statPanel))
    for (const row of graphs) add(HEIGHTS.timeseries, Object.entries(row).map(graphPanel))
  }
  return all
}

function statPanel([title, { about, unit, query, legend = '', red }]: readonly [string, StatTable[string]]) {
  const steps = [{ color: 'green', value: null }, ...(red === undefined ? [] : [{ color: 'red', value: red }])]
  return {
    type: 'stat',
    title,
    description: about,
    datasource: DATA_SOURCE,
    targets: [{ ...targetOf([legend, query], 0), instant: true }],
    fieldConfig: { defaults: { unit, thresholds: { mode: 'absolute', steps } }, overrides: [] },
    options: {
      reduceOptions: { calcs: ['lastNotNull'] },
      colorMode: 'value',
      textMode: legend === '' ? 'value' : 'value_and_name',
    },
  }
}

function graphPanel([title, { about = '', unit, queries, stacked = false }]: readonly [string, PanelTable[string]]) {
  const custom = { fillOpacity: stacked ? 20 : 0, stacking: { mode: stacked ? 'normal' : 'none' } }
  return {
    type: 'timeseries',
    title,
    description: about,
    datasource: DATA_SOURCE,
    targets: Object.entries(queries).map(targetOf),
    fieldConfig: { defaults: { unit, min: 0, custom }, overrides: [] },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
  }
}

/** Grafana calls the queries of a panel A, B, C. */
function targetOf([legendFormat, expr]: readonly [string, Query], at: number) {
  return { refId: String.fromCharCode('A'.charCodeAt(0) + at), datasource: DATA_SOURCE, expr, legendFormat }
}
