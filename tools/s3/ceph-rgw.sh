#!/bin/bash
# A Ceph cluster on this machine alone, with the S3 gateway in front: one monitor, one manager, three BlueStore OSDs on
# plain files, and an erasure-coded (2+1) pool for the objects' data. Loopback only, everything below one folder.
#
#   ceph-rgw.sh FOLDER MONITOR_PORT S3_PORT
#
# with the users' keys in FIRST_KEY, FIRST_SECRET, SECOND_KEY and SECOND_SECRET. It stays in the foreground with the
# daemons as its children, and ends them when it gets SIGTERM. The S3 port answers the first user once all is set up.
set -euo pipefail

folder=$1 monitor_port=$2 s3_port=$3
osd_ids=(0 1 2)
daemons=()

export CEPH_CONF=$folder/ceph.conf
unset CEPH_ARGS

main() {
  trap 'end_daemons; exit 0' TERM INT
  trap end_daemons EXIT
  mkdir -p "$folder"/{run,log,mon,mgr,osd}
  write_config
  make_keys
  start_monitor
  run_daemon ceph-mgr -f -i a
  start_osds
  make_data_pool
  # The users are made before the gateway listens: who can sign in finds everything ready. It makes the other pools.
  make_user first "$FIRST_KEY" "$FIRST_SECRET"
  make_user second "$SECOND_KEY" "$SECOND_SECRET"
  run_daemon radosgw -f -n client.rgw.a
  say 'gateway started'
  # Any daemon that ends is the end of the whole; `wait` also lets the trap run at once.
  wait -n
  say 'a daemon has ended'
  exit 1
}

say() { echo "$(date +%T) $*"; }

run_daemon() {
  "$@" </dev/null &
  daemons+=($!)
}

# The cluster goes with its folder: there is nothing to save, and a proper shutdown takes seven seconds.
end_daemons() {
  trap - EXIT TERM INT
  kill -KILL "${daemons[@]}" 2>/dev/null || true
  wait
}

write_config() {
  cat >"$CEPH_CONF" <<CONFIG
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon initial members = a
mon host = v1:127.0.0.1:$monitor_port
public network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = $folder/keyring
run dir = $folder/run
admin socket = $folder/run/\$name.asok
log file = $folder/log/\$name.log
crash dir = $folder/log
# Three OSDs on one host: the copies may not ask for three hosts.
osd crush chooseleaf type = 0
# Their reports of a silent one count singly, as those of three hosts would.
mon osd reporter subtree level = osd
osd pool default size = 2
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
# A nearly full disk is the machine's matter, not the test's.
mon data avail warn = 2
mon data avail crit = 1

[mon]
mon data = $folder/mon
mon cluster log file = $folder/log/cluster.log

[mgr]
mgr data = $folder/mgr
mgr initial modules =

[osd]
osd data = $folder/osd/\$id
osd objectstore = bluestore
# Sparse: a block file takes what is written to it.
bluestore block create = true
bluestore block size = $((4 * 1024 * 1024 * 1024))
bluestore block path =
bluestore cache autotune = false
bluestore cache size = $((128 * 1024 * 1024))
osd memory target = $((896 * 1024 * 1024))
osd op num shards = 2
bdev enable discard = false

[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:$s3_port
rgw thread pool size = 64
# As behind a proxy that ends TLS: only then does the gateway take a topic whose URL has a password in it.
rgw trust forwarded https = true
debug rgw = 0/0
CONFIG
}

make_keys() {
  local ring=$folder/keyring
  ceph-authtool --create-keyring "$ring" --gen-key -n mon. --cap mon 'allow *'
  ceph-authtool "$ring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
  ceph-authtool "$ring" --gen-key -n mgr.a --cap mon 'allow profile mgr' --cap osd 'allow *'
  ceph-authtool "$ring" --gen-key -n client.rgw.a --cap mon 'allow rw' --cap osd 'allow rwx'
}

start_monitor() {
  local map=$folder/monmap
  monmaptool --create --addv a "[v1:127.0.0.1:$monitor_port]" "$map"
  ceph-mon --mkfs -i a --monmap "$map" --keyring "$folder/keyring"
  run_daemon ceph-mon -f -i a
  until cluster status >/dev/null 2>&1; do sleep 0.1; done
  say 'monitor answers'
}

cluster() { ceph --connect-timeout 20 "$@"; }

# Making the file systems takes the longest: all at once. The ids are given out first, in order.
start_osds() {
  local id key makers=()
  for id in "${osd_ids[@]}"; do
    mkdir "$folder/osd/$id"
    cat /proc/sys/kernel/random/uuid >"$folder/osd/$id.uuid"
    key=$(ceph-authtool --gen-print-key)
    ceph-authtool --create-keyring "$folder/osd/$id/keyring" -n "osd.$id" --add-key "$key"
    cluster osd new "$(<"$folder/osd/$id.uuid")" -i - <<<"{\"cephx_secret\":\"$key\"}"
  done
  for id in "${osd_ids[@]}"; do
    ceph-osd --mkfs -i "$id" --osd-uuid "$(<"$folder/osd/$id.uuid")" --keyring "$folder/osd/$id/keyring" &
    makers+=($!)
  done
  for maker in "${makers[@]}"; do wait "$maker"; done
  for id in "${osd_ids[@]}"; do
    run_daemon ceph-osd -f -i "$id" --keyring "$folder/osd/$id/keyring"
    echo $! >"$folder/osd/$id.pid"
  done
  until cluster osd stat -f json | grep -q "\"num_up_osds\":${#osd_ids[@]}"; do sleep 0.2; done
  say 'OSDs are up'
}

make_data_pool() {
  cluster osd erasure-code-profile set two-and-one k=2 m=1 crush-failure-domain=osd
  cluster osd pool create default.rgw.buckets.data 8 8 erasure two-and-one
  # Two OSDs are enough to read and write, as with the copies of the other pools.
  cluster osd pool set default.rgw.buckets.data min_size 2
  cluster osd pool application enable default.rgw.buckets.data rgw
}

make_user() {
  radosgw-admin user create --uid="$1" --display-name="$1" --access-key="$2" --secret="$3" >/dev/null
}

main
