"""The admission webhook put together and run, and its gates taken off for good."""

import signal
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog
import typer

from transship import __version__, logs
from transship.admission.certificate import Lifetimes
from transship.admission.keeper import Certificates, Files, Keeper, SelfManaged
from transship.admission.looking import Looking
from transship.admission.review import Reviewer
from transship.admission.rules import RuleBook
from transship.admission.server import WebhookServer
from transship.cli.registries import build_registries
from transship.cluster import connect
from transship.cluster.access import Access
from transship.cluster.gates import SchedulingGates
from transship.cluster.webhook import Webhook
from transship.errors import TransshipError
from transship.metrics import AdmissionMetrics
from transship.operator.health import Check, HealthServer
from transship.promotion import rights
from transship.settings import Settings

_LOOK_AT_CERTIFICATE_EVERY = 10.0
_FINISH_SECONDS = 5.0
_Part = RuleBook | Keeper | WebhookServer
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the webhook is to be, see the options."""

    host: str
    port: int
    certificate: Path | None
    key: Path | None
    secret: str
    configuration: str
    names: tuple[str, ...]
    refresh: float
    drain: float


def serve(settings: Settings, asked: Asked) -> None:
    """Run the webhook until it is told to stop.

    Raises:
        typer.Exit: it cannot run.
    """
    logs.configure(settings.log_level, settings.log_format)
    try:
        api = connect(settings.kubeconfig)
        _check_rights(Access(api, "the webhook"), settings, asked)
        webhook = Webhook(api, settings.namespace, asked.secret, asked.configuration, settings.namespaces)
        metrics = AdmissionMetrics(__version__)
        registries = build_registries(settings, metrics)
    except TransshipError as error:
        typer.echo(f"transship: {error}", err=True)
        raise typer.Exit(1) from error
    certificates: Certificates
    if asked.certificate is not None and asked.key is not None:
        certificates = Files(asked.certificate, asked.key)
    else:
        certificates = SelfManaged(webhook, asked.names, lambda: datetime.now(UTC), Lifetimes())
    book = RuleBook(webhook, registries, asked.refresh)
    keeper = Keeper(certificates, _LOOK_AT_CERTIFICATE_EVERY)
    reviewer = Reviewer(book, Looking(registries), settings.namespace, metrics)
    try:
        server = WebhookServer(asked.host, asked.port, reviewer, keeper.context)
    except OSError as error:
        typer.echo(
            f"transship: the webhook cannot listen on {asked.host}:{asked.port}: {error.strerror or error}", err=True
        )
        raise typer.Exit(1) from error
    _run(settings, server, book, keeper, metrics, asked.drain)


def _check_rights(access: Access, settings: Settings, asked: Asked) -> None:
    """See that the webhook may read what it decides by, and write its certificate if it makes one.

    Raises:
        NeedsHuman, RetryLater: see Access.
    """
    access.require(rights.of_webhook(settings.namespaces))
    if asked.certificate is None:
        access.require(rights.of_certificate(settings.namespace, asked.secret, asked.configuration))
    for namespace in settings.namespaces:
        missing = access.missing((namespace, each) for each in rights.of_webhook_in_namespace())
        if missing:
            advice = f"{rights.advice(missing)} to it, and its pods are held from then on"
            _log.warning("namespace cannot be read, its pods are not held", namespace=namespace, note=advice)


def _run(  # noqa: PLR0913, PLR0917 - the parts of one process
    settings: Settings, server: WebhookServer, book: RuleBook, keeper: Keeper, metrics: AdmissionMetrics, drain: float
) -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    parts: dict[str, _Part] = {"rules": book, "certificate": keeper, "server": server}
    alive: dict[str, Check] = {name: partial(_check_alive, part) for name, part in parts.items()}
    ready: dict[str, Check] = {
        "certificate": lambda: None if keeper.has_certificate else "there is none yet",
        "rules": lambda: None if book.picture is not None else "the policies are not known yet",
        "stopping": lambda: "stopping" if stopping.is_set() else None,
    }
    try:
        health = HealthServer(
            settings.health_host, settings.health_port, {"/healthz": alive, "/readyz": ready}, metrics
        )
    except OSError as error:
        where = f"{settings.health_host}:{settings.health_port}"
        typer.echo(f"transship: the health server cannot listen on {where}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from error
    with health:
        for part in parts.values():
            part.start()
        _log.info("webhook started", port=server.port, health_port=health.port)
        stopping.wait()
        server.stop(drain, _FINISH_SECONDS)
        keeper.stop()
        book.stop()
    _log.info("webhook stopped")


def _check_alive(part: _Part) -> str | None:
    return None if part.is_alive else "its thread has ended"


def release_pods(settings: Settings) -> None:
    """Take our gate off every pod, and say how many there were."""
    logs.quiet_libraries()
    lifted, failed = 0, 0
    try:
        gates = SchedulingGates(connect(settings.kubeconfig), settings.namespaces)
        for pod in gates.gated_pods():
            metadata = pod["metadata"]
            try:
                lifted += gates.lift(metadata["namespace"], metadata["name"], metadata["uid"])
            except TransshipError as error:
                failed += 1
                typer.echo(f"transship: pod {metadata['namespace']}/{metadata['name']}: {error}", err=True)
    except TransshipError as error:
        typer.echo(f"transship: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{lifted} pods released")
    if failed:
        raise typer.Exit(1)
