"""The composition root: the one place where the adapters meet the operator."""

import os
import secrets
import socket
from collections.abc import Iterator

from transship import logs
from transship.cli.limits import copying_limits
from transship.cli.registries import build_registries
from transship.cli.traces import build_spans
from transship.cluster import Cluster, connect
from transship.cluster.access import Access
from transship.cluster.gates import SchedulingGates
from transship.errors import NeedsHuman, Reason
from transship.metrics import Metrics
from transship.operator.lifecycle import Operator, Options
from transship.promotion.rights import Wanted, of_operator
from transship.settings import Settings

MINIMUM_KUBERNETES = (1, 32)
"""Since this version `spec.managedBy` of a Job is honoured; before, a hook Job would start a pod (design §5.1)."""


def build_operator(settings: Settings, version: str) -> Operator:
    """Join cluster, registries and metrics to an operator.

    Raises:
        NeedsHuman: no cluster, one that is too old, or one without our custom resource definitions.
        RetryLater: the API server does not answer.
    """
    logs.configure(settings.log_level, settings.log_format)
    identity = settings.identity or f"{socket.gethostname()}-{secrets.token_hex(3)}"
    api = connect(settings.kubeconfig)
    cluster, access = Cluster(api, identity, settings.namespaces), Access(api, "the operator")
    _check(cluster)
    if settings.gate:
        _check_gate(cluster)
    access.require(_rights(settings))
    if settings.kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(settings.kubeconfig)  # kopf reads nothing else
    metrics = Metrics(version)
    metrics.expects_admission(settings.admission)
    registries = build_registries(settings, metrics)
    gates = SchedulingGates(api, settings.namespaces) if settings.admission else None
    spans = build_spans(settings, version)
    return Operator(_options(settings, identity), cluster, registries, registries.upkeep, metrics, access, gates, spans)


def _rights(settings: Settings) -> Iterator[Wanted]:
    return of_operator(
        settings.namespace,
        settings.lease_name,
        settings.namespaces,
        gate=settings.gate,
        admission=settings.admission,
    )


def _check(cluster: Cluster) -> None:
    version = cluster.server_version()
    if version < MINIMUM_KUBERNETES:
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            f"Kubernetes {version[0]}.{version[1]} is too old: before 1.32 a hook Job would start a pod; upgrade first",
        )
    if not cluster.serves_our_kinds():
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            "the cluster does not serve transship.dev/v1alpha1; apply manifests/crd and start again",
        )


def _check_gate(cluster: Cluster) -> None:
    if not cluster.serves_promoted_images():
        raise NeedsHuman(
            Reason.INVALID_REQUEST,
            "TRANSSHIP_GATE is set and the cluster does not serve PromotedImages; apply manifests/gate and start again",
        )


def _options(settings: Settings, identity: str) -> Options:
    return Options(
        namespace=settings.namespace,
        namespaces=settings.namespaces,
        lease_name=settings.lease_name,
        lease_seconds=settings.lease_seconds,
        identity=identity,
        promotion_workers=settings.promotion_workers,
        image_workers=settings.image_workers,
        event_workers=settings.event_workers,
        resync=settings.resync,
        stalled_recheck=settings.stalled_recheck,
        gate=settings.gate,
        gate_grace=settings.gate_grace,
        admission=settings.admission,
        history_limit=settings.history_limit,
        health_host=settings.health_host,
        health_port=settings.health_port,
        shutdown_grace=settings.shutdown_grace,
        copying=copying_limits(settings),
    )
