import { replaceSiteLines } from '../servers/nginx.ts'
import { HAPROXY_VALUES } from './haproxy-values.ts'
import { expandTemplate } from './template.ts'

/** What a container changes: no root, and the proxies that it trusts are in a variable of its environment. */
const CONTAINER_LINES = {
  'user haproxy': '',
  'group haproxy': '',
  'stats socket /run/haproxy/admin.sock mode 660 group haproxy level admin':
    '  stats socket /run/haproxy/admin.sock mode 600 level admin',
  'bind :80': '  bind :8080',
  'bind 127.0.0.1:8405': '  bind :8405',
  'acl from_proxy src 127.0.0.1': `  acl from_proxy src 127.0.0.1 "\${TRUSTED_PROXIES[*]}"`,
} as const

/** A file of packaging/haproxy/, made from its template in tools/docs/haproxy/. */
export function haproxyConf(name: 'haproxy.cfg' | 'originals.map'): string {
  return expandTemplate(name, { folder: 'haproxy', values: HAPROXY_VALUES })
}

/** That configuration for a container: as an ordinary user, on ports above 1024. */
export function haproxyContainerConf(): string {
  return replaceSiteLines(haproxyConf('haproxy.cfg'), CONTAINER_LINES).replaceAll(/^ *# site\n/gm, '')
}
