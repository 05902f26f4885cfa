/** PromQL. */
export type Query = string

/** Numbers, by title. */
export type StatTable = Readonly<
  Record<
    string,
    {
      readonly about: string
      readonly unit: string
      readonly query: Query
      readonly legend?: string
      readonly red?: number
    }
  >
>

/** Graphs, by title; queries by legend. */
export type PanelTable = Readonly<
  Record<
    string,
    {
      readonly about?: string
      readonly unit: string
      readonly queries: Readonly<Record<string, Query>>
      readonly stacked?: boolean
    }
  >
>

export interface PanelRow {
  readonly title: string
  readonly stats?: StatTable
  /** Each table is a line of the dashboard. */
  readonly graphs: readonly PanelTable[]
}

const NODES = 'job="darkroom", instance=~"$instance"'

/** A gauge of each node. */
export function gauge(name: string): Query {
  return `${name}{${NODES}}`
}

/** Sum over the nodes, and over all labels but `by`. */
export function sum(name: string, by = ''): Query {
  return `sum${by && ` by (${by})`} (${gauge(name)})`
}

interface RateOptions {
  readonly by?: string
  /** More label matchers. */
  readonly where?: string
}

export function rate(name: string, { by = '', where = '' }: RateOptions = {}): Query {
  return `sum${by && ` by (${by})`} (rate(${name}{${NODES}${where && `, ${where}`}}[$__rate_interval]))`
}

/** Of all nodes: mtail has a port of its own, so its instances are others. */
export function nginxRate(name: string, { by }: { readonly by: string }): Query {
  return `sum by (${by}) (rate(${name}[$__rate_interval]))`
}

export function increase(name: string): Query {
  return rate(name).replace('(rate(', '(increase(')
}

/** Of all nodes together. */
export function quantile(share: number, name: string): Query {
  return `histogram_quantile(${share}, ${rate(`${name}_bucket`, { by: 'le' })})`
}

/**
 * Rate by the name of the node: `name` of darkroom_node_info, which the front's metrics call `server`.
 *
 * @param where More label matchers.
 */
export function rateByNode(name: string, where = ''): Query {
  const each = `rate(${name}{${NODES}${where && `, ${where}`}}[$__rate_interval])`
  return `sum by (name) (${each} * on (job, instance) group_left (name) darkroom_node_info)`
}

/** Of the fronts, whose scrape job is `haproxy`. */
export function frontRate(name: string, { by, where }: { readonly by: string; readonly where: string }): Query {
  return `sum by (${by}) (rate(${name}{job="haproxy", ${where}}[$__rate_interval]))`
}

export const REQUESTS = 'darkroom_http_requests_total'
export const RENDITIONS = 'darkroom_renditions_total'
export const CALLS = 'darkroom_endpoint_calls_total'
export const NGINX_RENDITIONS = 'darkroom_nginx_renditions_total'
export const FAILED = 'status=~"5.."'
