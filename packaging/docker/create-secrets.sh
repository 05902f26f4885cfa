#!/bin/bash
# Creates the secrets of the cluster of docker-compose.yml on the first start, one file for each, and keeps them afterwards. A value
# in the environment (MINIO_ROOT_PASSWORD, S3_SECRET, UPLOAD_TOKENS) replaces the file's.
set -euo pipefail
# Owner node, group root: MinIO runs as root without the permission to read files of others.
umask 0337

# secret FILE VALUE: a file that is cut off by a power failure would lock everybody out of the store.
secret() {
  local value=$2
  if [ -z "$value" ]; then
    if [ -s "$1" ]; then return; fi
    value=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    echo "Created: ${1##*/}"
  fi
  rm -f "$1.new"
  printf '%s\n' "$value" >"$1.new"
  sync "$1.new"
  mv -f "$1.new" "$1"
  sync "${1%/*}"
}

secret /secrets/minio/root-password "${MINIO_ROOT_PASSWORD:-}"
secret /secrets/node/s3-secret "${S3_SECRET:-}"
# Of docker-compose.intake.yml.
if [ -w /secrets/ftp ]; then secret /secrets/ftp/password "${FTP_PASSWORD:-}"; fi
if [ -w /secrets/broker ]; then secret /secrets/broker/password ''; fi
token=/secrets/node/upload-token
if [ ! -s "$token" ]; then is_new=1; fi
secret "$token" "${UPLOAD_TOKENS:-}"
if [ -n "${is_new:-}" ] && [ -z "${UPLOAD_TOKENS:-}" ]; then echo "Upload token: $(cat "$token")"; fi
if [ -w /secrets/ftp ]; then echo "To read the password of the FTP user camera: docker-compose exec ftp cat /secrets/ftp/password"; fi
echo "To read the upload token: docker-compose exec node cat $token"
