#!/bin/sh
# What the image "rabbitmq" does with its two settings: a user of the broker, who may do everything.
set -eu
cat >/etc/rabbitmq/rabbitmq.conf <<EOF
default_user = $RABBITMQ_DEFAULT_USER
default_pass = $RABBITMQ_DEFAULT_PASS
log.console = true
EOF
chown -R rabbitmq:rabbitmq /var/lib/rabbitmq
exec "$@"
