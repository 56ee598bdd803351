# The image of the operator: one static program and its required files, and nothing else.
#
#   docker build --tag registry.example/tabular-operator:0.1.0 .
#
# builds it from a clone, for other architectures with --platform. --build-context dist=… replaces the first stage with compiled files; the
# build then pulls and runs nothing. deploy/image/assemble.sh does this for `make image`. docs/releasing.md describes a release.

# The Rust compiler, pinned by the digest of the index of all architectures, because a tag can move to another image. Its Debian determines
# the version of the C library: 2.36, which includes name resolution. `docker buildx imagetools inspect rust:<tag>` prints the digest.
ARG RUST=1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082

# Runs on the architecture of the builder, for any target. Writes the content of the image to /linux/amd64 or /linux/arm64.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:${RUST} AS dist
ARG TARGETARCH
WORKDIR /src
COPY deploy/image/toolchain.sh deploy/image/
RUN deploy/image/toolchain.sh "$TARGETARCH"
COPY . .
# The time in the bill of materials: the time of the commit, if set.
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    deploy/image/dist.sh "$TARGETARCH" /

FROM scratch
ARG TARGETARCH
# The version of Cargo.toml, and the commit.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tabular-operator" \
      org.opencontainers.image.description="A Kubernetes operator that refreshes and synchronizes Azure Analysis Services and Power BI tabular models, exactly once." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="https://github.com/tabular-operator/tabular-operator" \
      org.opencontainers.image.documentation="https://github.com/tabular-operator/tabular-operator/blob/main/README.md" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=dist /linux/${TARGETARCH}/ /
# An unprivileged user, by number: the image has no /etc/passwd, and Kubernetes checks `runAsNonRoot` by number only.
USER 65532:65532
ENTRYPOINT ["/tabular-operator"]
CMD ["run"]
