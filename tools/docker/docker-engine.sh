#!/bin/bash
# A Docker engine of its own, which leaves nothing behind: no mounts, network interfaces, cgroups or processes.
#
#   docker-engine.sh FOLDER NETWORK
#
# with all its data in FOLDER, its API on FOLDER/docker.sock, and its networks in NETWORK.0.0/16 (NETWORK: two numbers, 10.213).
# It stays in the foreground and ends at SIGTERM.
set -euo pipefail
folder=$1 network=$2
bridge=dkr$$
cgroup=darkroom-docker-$$
dockerd=

clean_up() {
  # Whatever fails, the rest is cleaned up.
  set +e
  trap '' TERM INT
  if [ -n "$dockerd" ]; then
    kill -TERM "$dockerd" 2>/dev/null
    wait "$dockerd"
  fi
  # The engine keeps the networks of projects that were not taken down, and containers that it could not end in time.
  for shim in $(pgrep -f "containerd-shim.* -address $folder/"); do kill -KILL "$shim"; done
  for link in $(ip -o -4 address show | awk -v net="$network." 'index($4, net) == 1 { print $2 }'); do ip link delete "$link"; done
  for mount in $(awk -v folder="$folder/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort -r); do umount --lazy "$mount"; done
  find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} \; 2>/dev/null
}

trap 'exit 0' TERM INT
trap clean_up EXIT
ip link add "$bridge" type bridge
ip address add "$network.0.1/24" dev "$bridge"
ip link set "$bridge" up
# No iptables: the engine would leave its rules and a FORWARD policy of DROP. Its proxy serves the published ports.
dockerd --host "unix://$folder/docker.sock" --pidfile "$folder/docker.pid" --data-root "$folder/data" --exec-root "$folder/exec" \
  --bridge "$bridge" --default-address-pool "base=$network.0.0/16,size=24" --cgroup-parent "$cgroup" \
  --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false &
dockerd=$!
wait "$dockerd"
