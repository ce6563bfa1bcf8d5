# syntax=docker/dockerfile:1

# The image of Powermemo: one program, no root, nothing to compile at run time.
#
#   docker build -t powermemo .
#   docker run -p 127.0.0.1:8019:8019 -v powermemo:/var/lib/powermemo -e ACCESS_TOKEN=... powermemo
#
# Without DATABASE_URL it keeps its data in the volume /var/lib/powermemo, for one container at a time. A configuration
# file is read from /etc/powermemo/config.yaml. deploy/compose.yaml runs two of them on Postgres and Redis.

ARG RUST=1.95
ARG DEBIAN=bookworm

FROM rust:${RUST}-slim-${DEBIAN} AS build
# The slim image has the C compiler that SQLite, ring and the like need.
WORKDIR /source
COPY . .
# What is compiled stays in caches of the builder, so that the next build compiles what has changed. They are no part of
# the image, hence the copy.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/source/target,sharing=locked \
    cargo build --release --locked --bin powermemo \
    && cp target/release/powermemo /usr/local/bin/powermemo

FROM debian:${DEBIAN}-slim
# For TLS to Postgres, Redis and the language model: the newest there are.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin powermemo \
    && install -d -o powermemo -g powermemo -m 700 /var/lib/powermemo \
    && install -d /etc/powermemo
COPY --from=build /usr/local/bin/powermemo /usr/local/bin/powermemo

# By number, so that whoever runs it can see that it is not root.
USER 10001
WORKDIR /etc/powermemo
# A container is reached from outside or not at all, so ACCESS_TOKEN must be set: without it the server refuses to start.
ENV POWERMEMO_HOST=0.0.0.0 \
    POWERMEMO_PORT=8019 \
    POWERMEMO_DATA_DIR=/var/lib/powermemo
VOLUME /var/lib/powermemo
EXPOSE 8019
# bash speaks TCP, so the image needs no client for this. It asks the server alone, not what the server stands on: a
# restart cures no database.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$POWERMEMO_PORT && printf 'GET /api/v1/healthcheck HTTP/1.0\\r\\n\\r\\n' >&3 && read -r -t 2 line <&3 && [[ $line == *' 200 '* ]]"]
# It stops in order on SIGTERM, which takes up to shutdown_timeout_seconds (30) and 5 s: `docker stop -t 45`.
ENTRYPOINT ["powermemo"]
CMD ["serve"]
