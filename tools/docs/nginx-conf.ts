import { NGINX_VALUES } from './nginx-values.ts'
import { expandTemplate } from './template.ts'

/**
 * An nginx configuration, made from its template in tools/docs/nginx/.
 *
 * @param server A node's nginx, the front before several nodes, or the redirect to HTTPS that both can include.
 */
export function nginxConf(server: 'node' | 'front' | 'redirect'): string {
  return expandTemplate(`${server}.conf`, { folder: 'nginx', values: NGINX_VALUES })
}
