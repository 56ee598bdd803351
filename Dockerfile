# The image of the operator: one static program and what has to go with it, and nothing else.
#
#   docker build --tag registry.example/tabular-operator:0.1.0 .
#
# builds it from a clone; for other machines too, by --platform. What is compiled already takes the place of the first stage by
# --build-context dist=…, and then nothing is pulled and nothing is run: deploy/image/assemble.sh does that, for `make image`.
# docs/releasing.md is the recipe of a release.

# The Rust that the program is compiled with, by the digest of the index of all architectures: the tag alone can be moved to another
# image. Its Debian says which C library is in it: 2.36, which resolves names without help. To change it:
# `docker buildx imagetools inspect rust:<tag>` prints the digest.
ARG RUST=1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082

# On the builder's own machine, whichever one it builds for. It leaves what goes into the image in /linux/amd64 or /linux/arm64.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:${RUST} AS dist
ARG TARGETARCH
WORKDIR /src
COPY deploy/image/toolchain.sh deploy/image/
RUN deploy/image/toolchain.sh "$TARGETARCH"
COPY . .
# The time that the bill of materials bears: the commit's, where it is given.
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    deploy/image/dist.sh "$TARGETARCH" /

FROM scratch
ARG TARGETARCH
# The version of Cargo.toml, and the commit.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tabular-operator" \
      org.opencontainers.image.description="A Kubernetes operator that refreshes and synchronises Azure Analysis Services and Power BI tabular models, exactly once." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="https://github.com/tabular-operator/tabular-operator" \
      org.opencontainers.image.documentation="https://github.com/tabular-operator/tabular-operator/blob/main/README.md" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=dist /linux/${TARGETARCH}/ /
# Nobody, by number: there is no /etc/passwd, and Kubernetes judges `runAsNonRoot` by numbers alone.
USER 65532:65532
ENTRYPOINT ["/tabular-operator"]
CMD ["run"]
