#!/bin/bash
# The first process of the container "ftp": ProFTPD with one user, "camera", whose folder in the spool folder is its source. At the
# first start it makes a certificate and a host key; /etc/proftpd/keys/certificate.pem and certificate.key may be replaced by real ones.
set -euo pipefail
conf=/run/proftpd.conf
keys=/etc/proftpd/keys
home=/var/spool/darkroom/camera

# site LINE NEW: puts NEW in the place of every line of the configuration that begins with LINE and is marked "site".
site() {
  if ! grep -q "^ *$1.*# site" "$conf"; then
    echo "proftpd.conf has no site line that begins with: $1" >&2
    exit 1
  fi
  sed -i "s|^ *$1.*# site.*|$2|" "$conf"
}

make_keys() {
  umask 0077
  if [ ! -s "$keys/certificate.pem" ]; then
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$FTP_ADDRESS" \
      -keyout "$keys/certificate.key" -out "$keys/certificate.pem" 2>/dev/null
  fi
  if [ ! -s "$keys/host-key" ]; then openssl genrsa -out "$keys/host-key" 3072 2>/dev/null; fi
  mkdir -p "$keys/users"
}

make_user() {
  install --directory --owner=1000 --group=1000 --mode=2770 "$home"
  hash=$(openssl passwd -6 -stdin </secrets/ftp/password)
  printf 'camera:%s:1000:1000::%s:/bin/false\n' "$hash" "$home" >/run/users
  chmod 0600 /run/users
}

write_conf() {
  cp /app/proftpd.conf "$conf"
  site 'Port 21 ' "Port 2121\nMasqueradeAddress $FTP_ADDRESS"
  site 'Port 2222 ' 'Port 2222'
  site 'PassivePorts ' "PassivePorts ${FTP_PASSIVE_PORTS/-/ }"
  site 'SystemLog ' 'SystemLog none'
  site 'AuthUserFile ' 'AuthUserFile /run/users'
  site 'QuotaTallyTable ' 'QuotaTallyTable file:/run/quota.tally'
  site 'QuotaLimitTable ' 'QuotaLimitTable file:/run/quota.limit'
  site 'TLSRSACertificateFile ' "TLSRSACertificateFile $keys/certificate.pem"
  site 'TLSRSACertificateKeyFile ' "TLSRSACertificateKeyFile $keys/certificate.key"
  site 'SFTPHostKey ' "SFTPHostKey $keys/host-key"
  site 'SFTPAuthorizedUserKeys ' "SFTPAuthorizedUserKeys file:$keys/users/%u"
  for type in limit tally; do
    ftpquota --create-table --type=$type --table-path=/run/quota.$type >/dev/null
  done
}

make_keys
make_user
write_conf
exec proftpd --nodaemon --config "$conf"
