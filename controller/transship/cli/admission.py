"""`transship admission`: the webhook, and taking its gates off for good."""

from pathlib import Path
from typing import Annotated

import typer


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
    from transship.cli.environment import load_settings  # noqa: PLC0415 - see `command`
    from transship.cli.webhook import Asked, release_pods, serve  # noqa: PLC0415

    settings = load_settings()
    if release:
        release_pods(settings)
        return
    if (certificate is None) != (key is None):
        typer.echo("transship: --certificate and --key belong together; give both or none", err=True)
        raise typer.Exit(1)
    names = name or [f"transship-admission.{settings.namespace}.{end}" for end in ("svc", "svc.cluster.local")]
    asked = Asked(host, port, certificate, key, secret, configuration, tuple(names), refresh, drain)
    serve(settings, asked)
