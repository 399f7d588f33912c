# Images of probelet for a registry of your own:
#   docker build --target agent    --build-arg REVISION=$(git rev-parse HEAD) -t REGISTRY/probelet-agent:0.1.0 .
#   docker build --target operator --build-arg REVISION=$(git rev-parse HEAD) -t REGISTRY/probelet-operator:0.1.0 .
# Not built in CI, which has no registry; tools/images/test holds it against the images that tools/images/build makes.
FROM rust:1.95.0-bookworm AS build
# The image's own toolchain: rust-toolchain.toml would have rustup fetch rustfmt and clippy as well.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
# The binaries are static (.cargo/config.toml), so their folder is named after the target.
RUN cargo build --release --locked -p probelet-agent -p probelet-operator \
 && mkdir /out \
 && for name in probelet-agent probelet-operator; do \
      strip -o /out/$name target/$(rustc -vV | sed -n 's/^host: //p')/release/$name || exit 1; \
    done

FROM scratch AS agent
ARG REVISION=unknown
LABEL org.opencontainers.image.title="probelet-agent" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/probelet-agent /probelet-agent
COPY LICENSE /LICENSE
USER 0:0
ENTRYPOINT ["/probelet-agent"]

FROM scratch AS operator
ARG REVISION=unknown
LABEL org.opencontainers.image.title="probelet-operator" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/probelet-operator /probelet-operator
COPY LICENSE /LICENSE
USER 65532:65532
ENTRYPOINT ["/probelet-operator"]
