#!/bin/bash
# The container's first process.        usage: start.sh node | dev | process | nginx | front | ingest | run COMMAND...
#   node   the node process and its nginx on port 8080; when one ends, or the container is stopped, both end
#   dev    the same, and the node process starts again when a file of src/ changes; needs tools/, which the image lacks
#   process, nginx  the two parts of a node in containers of their own, which share the network and the cache
#   front  HAProxy on port 8080, with its metrics on port 8405, before the nodes at the addresses that the name $NODES has
#   ingest uploads the files of /var/spool/darkroom to the node or front at $DARKROOM_URL
#   run    a command with the settings of the node: docker-compose exec node packaging/docker/start.sh run scripts/doctor
# A setting that is not in the environment is taken from DEFAULT_<setting>, or from the file <setting>_FILE for secrets.
set -euo pipefail
cd "$(dirname "$0")/../.."
conf=/tmp/nginx.conf
# Garbage is collected early: else 250 MB of it stay after a busy time.
options=(--max-semi-space-size=4 --heap-growing-percent=50)

# site LINE NEW: puts NEW in the place of every line of the configuration that begins with LINE and is marked "site".
site() {
  if ! grep -q "^ *$1.*# site" "$conf"; then
    echo "The nginx configuration has no site line that begins with: $1" >&2
    exit 1
  fi
  sed -i "s|^ *$1.*# site.*|$2|" "$conf"
}

# What a container changes: listen on 8080, no root, logs to its output, the size of an upload is the node's to judge, and the settings
# of the process.
write_conf() {
  cp nginx.conf "$conf"
  site 'listen 80 ' 'listen 8080 default_server;'
  site 'user ' ''
  site 'pid ' 'pid /tmp/nginx.pid;'
  site 'error_log ' 'error_log stderr warn;'
  site 'access_log ' 'access_log /dev/stdout darkroom;'
  site 'client_max_body_size 65m;' 'client_max_body_size 0;'
  site 'server 127.0.0.1:8080 max_conns=2560;' "server 127.0.0.1:$PORT max_conns=2560;"
  site 'server 127.0.0.1:8080 max_conns=256;' "server 127.0.0.1:$PORT max_conns=256;"
  site 'map "" $hit_tree ' "map \"\" \$hit_tree { default $CACHE_DIR/renditions; }"
  site 'worker_processes ' "worker_processes ${NGINX_WORKERS:-auto};"
  if [ "${SIZE_POLICY:-}" = signed ]; then site 'map "" $direct_hits ' 'map "" $direct_hits { default off; }'; fi
  if [ "${SIZE_POLICY:-}" = steps ] && [ "${SIZES_FALLBACK:-}" != redirect ]; then
    site 'map "" $size_steps ' 'map "" $size_steps { default on; }'
  fi
  if [ -n "${CACHE_TAG_HEADERS:-}" ]; then site 'map "" $tag_headers ' "map \"\" \$tag_headers { default \"$CACHE_TAG_HEADERS\"; }"; fi
  # From where the front's word on who asks is believed, and where the monitoring may ask from.
  site 'set_real_ip_from ' "$(printf 'set_real_ip_from %s; ' $TRUSTED_NETWORKS)"
  site '127.0.0.1 1;' "$(printf '%s 1; ' $TRUSTED_NETWORKS)"
  site 'allow 127.0.0.1;' "$(printf 'allow %s; ' $TRUSTED_NETWORKS)"
}

load_settings() {
  local default name file
  for default in "${!DEFAULT_@}"; do
    name=${default#DEFAULT_}
    if [ -z "${!name:-}" ]; then export "$name=${!default}"; fi
    unset "$default"
  done
  for name in AWS_SECRET_ACCESS_KEY UPLOAD_TOKENS EVENT_TOKENS URL_KEYS THUMBOR_KEYS IMGPROXY_KEYS BROKER_PASSWORD; do
    file=${name}_FILE
    if [ -n "${!file:-}" ] && [ -z "${!name:-}" ]; then export "$name=$(cat "${!file}")"; fi
    unset "$file"
  done
}

start_nginx() {
  nginx -c "$conf" -g 'daemon off;' &
  nginx=$!
}

# QUIT: nginx takes no new connection, and ends when it has answered what it has taken.
quit_nginx() {
  kill -QUIT "$nginx" 2>/dev/null || true
  wait "$nginx" || true
}

# run_node [FILE]: with FILE, a script that runs the node process.
run_node() {
  load_settings
  write_conf
  if [[ ${STORE:-} == s3:* ]]; then name_node; fi
  if [ -n "${1:-}" ]; then
    node "$1" &
  else
    node "${options[@]}" src/main.ts &
  fi
  koa=$!
  start_nginx
  trap 'stopping=1' TERM INT
  wait -n "$koa" "$nginx" || true
  if [ -n "${stopping:-}" ] && [ -z "${1:-}" ]; then drain; fi
  # nginx first: after it has ended nobody asks the node process any more.
  quit_nginx
  end_process
  code=0
  wait "$koa" || code=$?
  if [ -z "${stopping:-}" ] && [ "$code" = 0 ]; then code=1; fi
  exit "$code"
}

# Where the front and other nodes reach this one: the first address of the container. The front has the same name for it.
name_node() {
  local address
  address=$(hostname -i | cut -d ' ' -f 1)
  export NODE_NAME="${NODE_NAME:-$address-8080}" NODE_ADDRESS="${NODE_ADDRESS:-$address:8080}"
}

# The process reports that it is not ready and goes on serving for DRAIN_SECONDS; fronts notice in the meantime.
drain() {
  local seconds=${DRAIN_SECONDS:-2}
  if [ "$seconds" -lt 2 ]; then return; fi
  end_process
  sleep $((seconds - 1))
}

# Once: a second signal would end it at once.
end_process() {
  if [ -z "${ended:-}" ]; then kill -TERM "$koa" 2>/dev/null || true; fi
  ended=1
}

run_process() {
  load_settings
  exec node "${options[@]}" src/main.ts
}

run_nginx() {
  load_settings
  write_conf
  exec nginx -c "$conf" -g 'daemon off;'
}

run_front() {
  export TRUSTED_PROXIES="${TRUSTED_PROXIES:-}"
  haproxy -db -f /etc/haproxy/haproxy.cfg &
  haproxy=$!
  scripts/front --dns "$NODES" --port 8080 &
  members=$!
  trap 'stopping=1' TERM INT
  wait -n "$haproxy" "$members" || true
  # HAProxy takes no new connection, and ends when it has answered what it has taken.
  kill -USR1 "$haproxy" 2>/dev/null || true
  wait "$haproxy" || true
  kill -TERM "$members" 2>/dev/null || true
  wait "$members" || true
  if [ -z "${stopping:-}" ]; then exit 1; fi
}

run_ingest() {
  load_settings
  # The first one.
  export DARKROOM_TOKEN="${UPLOAD_TOKENS%% *}"
  unset UPLOAD_TOKENS
  exec scripts/ingest --spool /var/spool/darkroom --renamed --sources packaging/darkroom-sources.yml
}

case "${1:-}" in
  node) run_node ;;
  # Not node --watch: it misses files that only renderers import, and with --watch-path it ends at a file that it cannot read.
  dev) run_node tools/dev.ts ;;
  process) run_process ;;
  nginx) run_nginx ;;
  front) run_front ;;
  ingest) run_ingest ;;
  run) shift; load_settings; exec "$@" ;;
  *) sed -n 's/^# //p; 10q' "$0" >&2; exit 2 ;;
esac
