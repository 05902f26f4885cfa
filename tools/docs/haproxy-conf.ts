import { HAPROXY_VALUES } from './haproxy-values.ts'
import { expandTemplate } from './template.ts'

/** A file of packaging/haproxy/, made from its template in tools/docs/haproxy/. */
export function haproxyConf(name: 'haproxy.cfg' | 'originals.map'): string {
  return expandTemplate(name, { folder: 'haproxy', values: HAPROXY_VALUES })
}
