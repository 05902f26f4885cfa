# One image, two roles: a node (nginx and the node process on one cache) and, by another command, the front (HAProxy).
FROM node:24-bookworm-slim

RUN apt-get update \
  && apt-get install --yes --no-install-recommends haproxy nginx-light \
  && rm -rf /var/lib/apt/lists/* \
  && mkdir -p /var/cache/darkroom /var/lib/darkroom \
  && install --directory --owner=node --group=node /run/haproxy \
  && chown -R node:node /var/cache/darkroom /var/lib/darkroom /var/lib/nginx \
  # Mount points of the secrets of docker-compose.yml. The group root is MinIO's user.
  && mkdir -p /secrets/node /secrets/minio /secrets/ftp /secrets/broker \
  && chown node:root /secrets/* \
  && chmod 0750 /secrets/* \
  && install --directory --owner=node --group=node --mode=2770 /var/spool/darkroom

WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Not --omit=optional: sharp's binaries are optional packages. So is the Node of our own, but this image has one.
RUN npm ci --omit=dev --ignore-scripts \
  && rm -rf node_modules/node-linux-* node_modules/.bin/node \
  && npm cache clean --force
COPY . .
# The front's: for a container, as Kubernetes mounts them.
COPY packaging/kubernetes/base/haproxy.cfg packaging/kubernetes/base/originals.map /etc/haproxy/

# glibc gives every thread a heap of its own and hardly shrinks it; sharp, files and name look-ups share libuv's threads.
ENV NODE_ENV=production MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=8388608 \
    UV_THREADPOOL_SIZE=16 \
  HOST=127.0.0.1 PORT=3000 ACCEL_PREFIX=/_renditions/ \
  CACHE_DIR=/var/cache/darkroom STORE=file:/var/lib/darkroom \
  TRUSTED_NETWORKS=127.0.0.0/8 NODES=node
VOLUME /var/cache/darkroom
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8080/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["packaging/docker/start.sh"]
CMD ["node"]
