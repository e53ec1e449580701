# The `lunaria` binary, every role of it. Debian 12 to build on and to run on: scripts/prerequisites.sh knows its packages.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY scripts/prerequisites.sh scripts/
RUN scripts/prerequisites.sh build
COPY . .
RUN --mount=type=cache,target=/source/target --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --locked --release -p lunaria \
 && strip --strip-debug -o /lunaria target/release/lunaria

FROM debian:bookworm-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates libssl3 \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --no-log-init --home-dir /var/lib/lunaria --create-home --shell /usr/sbin/nologin lunaria
COPY --from=build /lunaria /usr/local/bin/lunaria
USER lunaria
WORKDIR /var/lib/lunaria
# So that it can be reached from outside of the container.
ENV LUNARIA__API__LISTEN=0.0.0.0:8080 LUNARIA__INSTANT__LISTEN=0.0.0.0:8090
EXPOSE 8080 8090
# Of `serve`. The other roles bring their own: docker-compose.yml has them.
HEALTHCHECK --interval=15s --timeout=12s --start-period=60s --retries=3 \
  CMD ["lunaria", "health", "http", "http://127.0.0.1:8080/readyz"]
# SIGTERM, which `docker stop` sends, ends every role in good order.
ENTRYPOINT ["lunaria"]
CMD ["serve"]
