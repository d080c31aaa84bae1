"""Settings of the controller: environment variables `TRANSSHIP_*`, with defaults an installation can live with.

Everything about *what* may be promoted is a PromotionPolicy; here is only how the process behaves.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, FilePath
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Endpoint = Annotated[str, Field(pattern=r"^(https://[A-Za-z0-9.{}:-]+/?)?$")]
Place = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
PositiveSeconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _split_names(text: object) -> object:
    """Names of namespaces, each once, from what stands between commas."""
    if not isinstance(text, str):
        return text
    names = tuple(dict.fromkeys(part.strip() for part in text.split(","))) if text.strip() else ()
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(
                f"{name!r} is not the name of a namespace; "
                "name each that is to be watched, separated by commas, or none to watch all"
            )
    return names


class Settings(BaseSettings):
    """How the process behaves. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="TRANSSHIP_", frozen=True, extra="ignore")

    namespace: str = Field("transship-system", description="namespace of the operator's own Lease")
    namespaces: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)] = Field(
        (), description="names of the namespaces to watch, separated by commas; all by default"
    )
    lease_name: str = Field("transship", description="name of the Lease that makes one replica the active one")
    lease_seconds: PositiveSeconds = Field(15.0, description="how long a Lease is good for without renewal")
    identity: str = Field("", description="this replica in the Lease; the host name with a random part by default")
    kubeconfig: Path | None = Field(None, description="kubeconfig to use; in-cluster or KUBECONFIG by default")
    promotion_workers: int = Field(8, ge=1, le=256, description="requests that are promoted at the same time")
    copy_memory_mib: int = Field(64, ge=4, le=4096, description="MiB that all blobs on their way share")
    copy_blobs: int = Field(48, ge=1, le=256, description="blobs that are moved at the same time")
    copy_ranges: int = Field(20, ge=0, le=256, description="connections that may join to read large blobs in ranges")
    copy_lookups: int = Field(64, ge=1, le=256, description="requests at the same time that only ask or put a manifest")
    image_workers: int = Field(8, ge=1, le=256, description="images that are planned or copied at the same time")
    event_workers: int = Field(4, ge=1, le=64, description="workloads and hooks that are judged at the same time")
    resync: PositiveSeconds = Field(600.0, description="how often a covered workload's images are looked for again")
    stalled_recheck: PositiveSeconds = Field(
        300.0, description="how long a stalled request is left alone at most; less at first"
    )
    gate: bool = Field(
        default=False, description="whether the admission gate is installed: keep the PromotedImages it is told"
    )
    gate_grace: PositiveSeconds = Field(
        60.0, description="how long a reference stays in PromotedImages after the last that named it"
    )
    admission: bool = Field(
        default=False, description="whether the admission webhook is installed: promote for the pods it holds"
    )
    history_limit: int = Field(5, ge=1, le=100, description="requests kept for each workload or hook")
    health_host: str = Field("0.0.0.0", description="address of /healthz, /readyz and /metrics")  # noqa: S104 - a pod's probes come from outside
    health_port: int = Field(8080, ge=0, le=65535, description="port of /healthz, /readyz and /metrics; 0 for any")
    shutdown_grace: PositiveSeconds = Field(20.0, description="how long running copies may take to stop")
    aws_endpoint_ecr: Endpoint = Field(
        "", description="URL of the ECR API, {region} standing for the Region; AWS's own"
    )
    aws_endpoint_sts: Endpoint = Field(
        "", description="URL of the STS API, {region} standing for the Region; AWS's own"
    )
    registry_connect: dict[str, Place] = Field(
        default_factory=dict,
        description='JSON object: registry hosts and where to connect for them, {"host": "endpoint[:port]"}',
    )
    ca_bundle: FilePath | None = Field(
        None, description="PEM file of CAs for registries and AWS; the system's by default"
    )
    docker_config: Path | None = Field(
        None, description="Docker configuration with credentials of registries that are not ECR; none by default"
    )
    token_realms: dict[str, list[Place]] = Field(
        default_factory=dict,
        description='JSON object: registry hosts and further hosts of their token servers, {"host": ["host[:port]"]}',
    )
    quotas: str = Field(
        "", description="rates of ECR's API to keep, as scale=0.5,PutImage=8; 0.97 of the published ones by default"
    )
    traces: bool = Field(
        default=False,
        description="whether promotions are traced by OpenTelemetry; OTEL_EXPORTER_OTLP_ENDPOINT and the other OTEL_* "
        "variables say where to",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is logged")
    log_format: Literal["json", "console"] = Field("json", description="how log lines look")
