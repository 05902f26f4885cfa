# ProFTPD with packaging/proftpd/proftpd.conf, for docker-compose.intake.yml. The base is that of Dockerfile: its user 1000, node,
# is that of the intake.
FROM node:24-bookworm-slim

RUN apt-get update \
  && apt-get install --yes --no-install-recommends proftpd-core proftpd-mod-crypto openssl \
  && rm -rf /var/lib/apt/lists/* \
  && mkdir -p /var/spool/darkroom /etc/proftpd/keys /secrets/ftp \
  && chown node:node /var/spool/darkroom \
  && chmod 2770 /var/spool/darkroom

COPY packaging/proftpd/proftpd.conf packaging/docker/start-ftp.sh /app/
EXPOSE 2121 2222
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["bash", "-c", "read -r greeting </dev/tcp/127.0.0.1/2121 && [[ $greeting == 220* ]]"]
ENTRYPOINT ["/app/start-ftp.sh"]
