# Two stages. The first has a shell and pip, and stays behind; the second is distroless: Python, and nothing to log in to.
# Both have the same Python minor, as wheels and bytecode are made for one. The first runs on the machine that builds, for
# whichever platform is built, so that no processor has to be emulated. docs/how-to/image.md says how to give other bases.
#
# Pinned by the digest of the index, which holds all platforms; to raise: docker buildx imagetools inspect NAME:TAG
ARG PYTHON=3.13
ARG BUILD_IMAGE=docker.io/library/python:3.13-slim-trixie@sha256:3dd7cc108ec1493442514f5c2a871af6af0ec31d768ff6e378a93340c3b3db5f
ARG RUNTIME_IMAGE=gcr.io/distroless/python3-debian13:nonroot@sha256:83aa8d4f74a4d7f7cf2d472054139bef71a927b76c680c0f2e1021d6b1d6d732

FROM --platform=${BUILDPLATFORM} ${BUILD_IMAGE} AS build
ARG PYTHON
ARG TARGETARCH
# The time that everything is given which has one, in seconds since 1970: the same sources make the same bytes.
ARG SOURCE_DATE_EPOCH=0
# pip's own settings: a mirror, or a folder of wheels without one. The hashes of the locks hold in either case.
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python3 -c "import sys; sys.version_info[:2] == tuple(map(int, '${PYTHON}'.split('.'))) or sys.exit( \
    'BUILD_IMAGE has Python %d.%d, and PYTHON is ${PYTHON}: they and RUNTIME_IMAGE have to agree' % sys.version_info[:2])"
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python3 -m pip install --require-hashes --only-binary :all: --target /backend --requirement requirements/build.txt
RUN case "${TARGETARCH}" in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; *) machine="${TARGETARCH}" ;; esac \
 && platforms="" \
 && for libc in 2_34 2_28 2_17; do platforms="${platforms} --platform manylinux_${libc}_${machine}"; done \
 && python3 -m pip install --require-hashes --no-deps --only-binary :all: --no-compile \
      --python-version "${PYTHON}" --implementation cp --platform "manylinux2014_${machine}" ${platforms} \
      --target /opt/transship/dependencies --requirement requirements/runtime.txt \
 && rm -rf /opt/transship/dependencies/bin \
 && python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash -x /kubernetes/aio/ /opt/transship/dependencies \
 && find /opt/transship -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +
COPY pyproject.toml README.md LICENSE ./
COPY controller/ controller/
RUN PYTHONPATH=/backend python3 -m hatchling build -t wheel -d /dist \
 && python3 -m pip install --no-deps --no-index --no-compile --target /opt/transship/code /dist/transship-*.whl \
 && rm -rf /opt/transship/code/bin \
 && python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash /opt/transship/code \
 && find /opt/transship/code -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM ${RUNTIME_IMAGE}
COPY --from=build /opt/transship/dependencies /opt/transship/dependencies
COPY --from=build /opt/transship/code /opt/transship/code
# Modules come from these two places and never from the working directory. /tmp is the only place that is written to; the
# root file system may be read-only.
ENV PYTHONPATH=/opt/transship/code:/opt/transship/dependencies \
    PYTHONSAFEPATH=1 \
    PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
USER 65532:65532
EXPOSE 8080 8443
ENTRYPOINT ["/usr/bin/python3", "-m", "transship"]
CMD ["operator"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="transship" \
      org.opencontainers.image.description="Kubernetes operator that makes container images arrive in the environment that is about to run them" \
      org.opencontainers.image.source="https://github.com/transship/transship" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
