# syntax=docker/dockerfile:1

# Two stages: what is needed to build stays in the first one. Every dependency is held to the hashes of the lock.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
# The build backend has a place of its own and does not reach the final image.
RUN python -m venv /build && python -m venv /opt/transship
WORKDIR /src
COPY requirements/ requirements/
RUN /build/bin/pip install --require-hashes --only-binary :all: --requirement requirements/dev.txt
RUN /opt/transship/bin/pip install --require-hashes --only-binary :all: --requirement requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY controller/ controller/
RUN /build/bin/python -m hatchling build -t wheel -d /dist \
 && /opt/transship/bin/pip install --no-deps --no-index /dist/transship-*.whl \
 && /opt/transship/bin/pip uninstall --yes pip

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="transship" \
      org.opencontainers.image.description="Kubernetes operator that makes container images arrive in the environment that is about to run them" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/transship /opt/transship
# HOME is the only place that is written to; the root file system may be read-only.
ENV PATH=/opt/transship/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["python", "-m", "transship"]
CMD ["operator"]
