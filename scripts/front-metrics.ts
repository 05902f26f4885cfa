/** A front as of its last pass. */
export interface FrontState {
  /** Nodes that should be servers. */
  readonly members: number
  /** Of each backend, by name. */
  readonly servers: Readonly<Record<string, number>>
  readonly problems: number
  readonly sourceAvailable: boolean
  readonly haproxyAvailable: boolean
  /** Changes since the start, by step. */
  readonly changes: Readonly<Record<string, number>>
}

/**
 * The state of a front in Prometheus' text format, for the textfile collector of the node exporter.
 *
 * @param now Milliseconds since 1970.
 */
export function frontMetrics(state: FrontState, now: number): string {
  return [
    metric('members', 'gauge', 'Nodes that should be servers of HAProxy', { '': state.members }),
    metric('servers', 'gauge', 'Servers that HAProxy has, by backend', labelled('backend', state.servers)),
    metric('changes_total', 'counter', 'Changes of servers since the start, by step', labelled('step', state.changes)),
    metric('problems', 'gauge', 'Nodes that cannot be servers, and servers that cannot be removed', {
      '': state.problems,
    }),
    metric('source_available', 'gauge', '1 if the registry or DNS named nodes at the last query, else 0', {
      '': state.sourceAvailable ? 1 : 0,
    }),
    metric('haproxy_available', 'gauge', '1 if HAProxy accepted the commands of the last pass, else 0', {
      '': state.haproxyAvailable ? 1 : 0,
    }),
    metric('last_pass_timestamp_seconds', 'gauge', 'Time of the last pass, in seconds since 1970', {
      '': Math.round(now / 1000),
    }),
  ].join('')
}

function labelled(label: string, values: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [`{${label}="${key}"}`, value]))
}

function metric(name: string, type: string, help: string, samples: Readonly<Record<string, number>>): string {
  const full = `darkroom_front_${name}`
  const lines = Object.entries(samples).map(([labels, value]) => `${full}${labels} ${value}\n`)
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines.join('')}`
}
