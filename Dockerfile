# Two stages: the first installs from the lock file, the second carries only what runs. The same
# sources make the same image where the engine sets the times of files (SOURCE_DATE_EPOCH).
# By digest, of all platforms, so that a build is of what was looked at. A newer one:
# docker buildx imagetools inspect python:3.11-slim-bookworm
ARG PYTHON_IMAGE=docker.io/library/python:3.11.16-slim-bookworm@sha256:0bee7276f83efd4a1ee05bbbf4281d95ed28e079220a9457f25a93e3f1e3c31b

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python3 -m venv /opt/trainwave-exporter
COPY requirements.lock ./
COPY deploy/image ./deploy/image
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/trainwave-exporter/bin/pip install --no-compile --require-hashes \
        -r requirements.lock -r deploy/image/build.lock
COPY LICENSE README.md pyproject.toml ./
COPY trainwave_exporter ./trainwave_exporter
# Compiled by content, not by time: what is compiled is the same whenever it is built.
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/trainwave-exporter/bin/pip install --no-compile --no-deps --no-build-isolation . \
    && /opt/trainwave-exporter/bin/pip uninstall --yes flit_core setuptools pip \
    && find /opt/trainwave-exporter -name __pycache__ -prune -exec rm -r {} + \
    && /opt/trainwave-exporter/bin/python3 -B deploy/image/sbom.py \
        >/opt/trainwave-exporter/sbom.cdx.json \
    && /opt/trainwave-exporter/bin/python3 -m compileall -q --invalidation-mode unchecked-hash \
        /opt/trainwave-exporter/lib

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG VERSION=0.2.0.dev0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="trainwave-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the jobs, costs and GPU use of Trainwave" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
COPY --from=build /opt/trainwave-exporter /opt/trainwave-exporter
ENV PATH=/opt/trainwave-exporter/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TRAINWAVE_STORAGE_PATH=/var/lib/trainwave-exporter
# The ledger. A volume takes its owner from the folder that it covers.
RUN install -d -o 65532 -g 65532 -m 0750 /var/lib/trainwave-exporter
VOLUME /var/lib/trainwave-exporter
# Numeric, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 9877
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9877/-/healthy', timeout=2)"]
ENTRYPOINT ["trainwave-exporter"]
