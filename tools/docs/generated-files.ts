import { grafanaDashboard } from './grafana-dashboard.ts'
import { haproxyConf, haproxyContainerConf } from './haproxy-conf.ts'
import { metricsPage } from './metrics-page.ts'
import { nginxConf } from './nginx-conf.ts'
import { settingsPage } from './settings-page.ts'

/** Content of every file that `npm run docs` writes, by its path in the repository. */
export function generatedFiles(): Readonly<Record<string, string>> {
  return {
    'docs/metrics.md': metricsPage(),
    'docs/settings.md': settingsPage(),
    'nginx.conf': nginxConf('node'),
    'packaging/grafana/darkroom.json': grafanaDashboard(),
    'packaging/haproxy/haproxy.cfg': haproxyConf('haproxy.cfg'),
    'packaging/haproxy/originals.map': haproxyConf('originals.map'),
    'packaging/kubernetes/base/haproxy.cfg': haproxyContainerConf(),
    'packaging/kubernetes/base/originals.map': haproxyConf('originals.map'),
    'packaging/nginx/front.conf': nginxConf('front'),
    'packaging/nginx/redirect.conf': nginxConf('redirect'),
  }
}
