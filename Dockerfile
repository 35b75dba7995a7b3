# syntax=docker/dockerfile:1
# The base images are named by their versions; whoever publishes the image pins them by digest, as with
# `docker buildx imagetools inspect rust:1.95-bookworm`, and renews the digests with each release.
FROM rust:1.95-bookworm AS build
WORKDIR /src
# Two platforms may be built at once, and share no folder. One that is emulated has no time to be trained.
ARG BUILDPLATFORM
ARG TARGETPLATFORM
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=target-$TARGETPLATFORM,target=/src/target \
    [ "$BUILDPLATFORM" = "$TARGETPLATFORM" ] || untrained=--untrained; \
    program=$(deploy/build "${untrained:-}") && cp "$program" /usr/local/bin/fal-gateway

# No shell, no package manager: the program, glibc and certificates.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/fal-gateway /usr/local/bin/fal-gateway
# `nonroot`, by its number, which a cluster can check.
USER 65532:65532
EXPOSE 3250
# Inside a container nobody could reach 127.0.0.1. With a fal key the program then asks for client
# keys, and says so if there are none.
ENV FAL_GATEWAY__SERVER__LISTEN=0.0.0.0:3250
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 \
    CMD ["fal-gateway", "health"]
ENTRYPOINT ["fal-gateway"]
CMD ["serve"]
