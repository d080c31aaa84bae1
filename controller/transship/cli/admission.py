"""`transship admission`: the webhook, and taking its gates off for good."""

import signal
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer

from transship import __version__, logs
from transship.admission.certificate import Lifetimes
from transship.admission.keeper import Certificates, Files, Keeper, SelfManaged
from transship.admission.looking import Looking
from transship.admission.review import Reviewer
from transship.admission.rules import RuleBook
from transship.admission.server import WebhookServer
from transship.cli.environment import load_settings
from transship.cli.registries import build_registries
from transship.cluster import connect
from transship.cluster.gates import SchedulingGates
from transship.cluster.webhook import Webhook
from transship.errors import TransshipError
from transship.metrics import Metrics
from transship.operator.health import Check, HealthServer
from transship.settings import Settings

_LOOK_AT_CERTIFICATE_EVERY = 10.0
_FINISH_SECONDS = 5.0
_Part = RuleBook | Keeper | WebhookServer
_log = structlog.get_logger(__name__)


def admission(  # noqa: PLR0913 - each is an option of the command line
    *,
    host: Annotated[str, typer.Option(help="address of the webhook")] = "0.0.0.0",  # noqa: S104 - the API server comes from outside
    port: Annotated[int, typer.Option(min=0, max=65535, help="port of the webhook; 0 for any")] = 8443,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file of the certificate; without it one is made and kept in --secret")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of its key")] = None,
    secret: Annotated[
        str, typer.Option(help="Secret of a certificate of our own, in TRANSSHIP_NAMESPACE")
    ] = "transship-admission-tls",  # noqa: S107 - a name
    configuration: Annotated[
        str, typer.Option(help="MutatingWebhookConfiguration that is to trust a certificate of our own")
    ] = "transship-admission",
    name: Annotated[
        list[str] | None, typer.Option(help="names of a certificate of our own; those of the Service by default")
    ] = None,
    refresh: Annotated[
        float, typer.Option(min=0.2, max=60, help="seconds between two looks at policies and namespaces")
    ] = 3.0,
    drain: Annotated[
        float, typer.Option(min=0, max=60, help="seconds to serve on after being told to stop; the Service forgets us")
    ] = 5.0,
    release: Annotated[
        bool, typer.Option("--release", help="take our gate off every pod of the cluster, and end")
    ] = False,
) -> None:
    """Run the admission webhook until it is told to stop: pods wait for images that are missing.

    SIGTERM or SIGINT stops it. All other settings are environment variables; `transship settings` lists them.
    """
    settings = load_settings()
    if release:
        _release(settings)
        return
    if (certificate is None) != (key is None):
        typer.echo("transship: --certificate and --key belong together; give both or none", err=True)
        raise typer.Exit(1)
    logs.configure(settings.log_level, settings.log_format)
    names = name or [f"transship-admission.{settings.namespace}.{end}" for end in ("svc", "svc.cluster.local")]
    try:
        webhook = Webhook(connect(settings.kubeconfig), settings.namespace, secret, configuration)
        metrics = Metrics(__version__)
        registries = build_registries(settings, metrics)
    except TransshipError as error:
        typer.echo(f"transship: {error}", err=True)
        raise typer.Exit(1) from error
    certificates: Certificates
    if certificate is not None and key is not None:
        certificates = Files(certificate, key)
    else:
        certificates = SelfManaged(webhook, names, lambda: datetime.now(UTC), Lifetimes())
    book = RuleBook(webhook, registries, refresh)
    keeper = Keeper(certificates, _LOOK_AT_CERTIFICATE_EVERY)
    reviewer = Reviewer(book, Looking(registries), settings.namespace, metrics)
    try:
        server = WebhookServer(host, port, reviewer, keeper.context)
    except OSError as error:
        typer.echo(f"transship: the webhook cannot listen on {host}:{port}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from error
    _serve(settings, server, book, keeper, metrics, drain)


def _serve(  # noqa: PLR0913, PLR0917 - the parts of one process
    settings: Settings, server: WebhookServer, book: RuleBook, keeper: Keeper, metrics: Metrics, drain: float
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


def _release(settings: Settings) -> None:
    """Take our gate off every pod, and say how many there were."""
    logs.quiet_libraries()
    lifted, failed = 0, 0
    try:
        gates = SchedulingGates(connect(settings.kubeconfig))
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
