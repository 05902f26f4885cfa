import { CALLS, frontRate, type PanelRow, RENDITIONS, rate, rateByNode } from './grafana-queries.ts'

const HITS = 'cache_status="hit"'
const RENDERS = 'darkroom_render_duration_seconds_count'
/** The backends of packaging/haproxy/haproxy.cfg that have nodes. */
const BACKENDS = 'proxy=~"ready|hot|living"'

/** All nodes together, each of them by its name, and the fronts before them. */
export const CLUSTER_ROWS: readonly PanelRow[] = [
  {
    title: 'All nodes',
    graphs: [
      {
        'Hit ratio by node': {
          about: 'Among the renditions that reach the nodes; all nodes together, and each by NODE_NAME',
          unit: 'percentunit',
          queries: {
            'all nodes': `${rate(RENDITIONS, { where: HITS })} / ${rate(RENDITIONS)}`,
            '{{name}}': `${rateByNode(RENDITIONS, HITS)} / ${rateByNode(RENDITIONS)}`,
          },
        },
        'Renders by node': {
          about: 'The sum is that of all nodes',
          unit: 'ops',
          queries: { '{{name}}': rateByNode(RENDERS) },
          stacked: true,
        },
        'Store calls by node': {
          about: 'The sum is that of all nodes',
          unit: 'ops',
          queries: { '{{name}}': rateByNode(CALLS, 'endpoint="store"') },
          stacked: true,
        },
        'Renders and store calls per 100 renditions': {
          about: 'Of all nodes together: how much work a rendition costs that reaches the nodes',
          unit: 'none',
          queries: {
            renders: `100 * ${rate(RENDERS)} / ${rate(RENDITIONS)}`,
            'store calls': `100 * ${rate(CALLS, { where: 'endpoint="store"' })} / ${rate(RENDITIONS)}`,
          },
        },
      },
    ],
  },
  {
    title: 'Fronts (HAProxy)',
    graphs: [
      {
        'Responses of the fronts': {
          about: 'With those of HAProxy itself',
          unit: 'reqps',
          queries: {
            '{{code}}': frontRate('haproxy_frontend_http_responses_total', { by: 'code', where: 'proxy="pictures"' }),
          },
          stacked: true,
        },
        'Requests by node and backend': {
          about: 'Backend hot: originals that are spread over several nodes; living: no node was ready',
          unit: 'reqps',
          queries: {
            '{{server}} {{proxy}}': frontRate('haproxy_server_http_responses_total', {
              by: 'server, proxy',
              where: BACKENDS,
            }),
          },
          stacked: true,
        },
        'Nodes in use': {
          about: 'Ready nodes, as each front sees them',
          unit: 'none',
          queries: { '{{instance}}': 'haproxy_backend_active_servers{job="haproxy", proxy="ready"}' },
        },
        'Nodes down or draining': {
          unit: 'none',
          queries: {
            '{{server}} {{state}}':
              'max by (server, state) (haproxy_server_status{job="haproxy", proxy="ready", state=~"DOWN|DRAIN|MAINT|NOLB"})',
          },
        },
        'Second attempts': {
          about: 'Requests that a node refused or dropped: sent again, to another node, and in vain',
          unit: 'reqps',
          queries: {
            again: frontRate('haproxy_backend_retry_warnings_total', { by: 'job', where: BACKENDS }),
            'to another node': frontRate('haproxy_backend_redispatch_warnings_total', { by: 'job', where: BACKENDS }),
            failed: frontRate('haproxy_backend_connection_errors_total', { by: 'job', where: BACKENDS }),
          },
        },
      },
    ],
  },
]
