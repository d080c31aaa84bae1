"""`transship operator` and `transship settings`."""

import signal
from typing import Annotated

import typer

from transship import __version__
from transship.cli.command import command
from transship.cli.output import Output
from transship.errors import TransshipError


@command
def settings(*, out: Output) -> None:
    """Print every setting of the operator: its environment variable, its value now, and what it means."""
    from transship.cli.environment import load_settings  # noqa: PLC0415 - see `command`
    from transship.settings import Settings  # noqa: PLC0415

    values = load_settings().model_dump(mode="json")
    known = {f"TRANSSHIP_{name.upper()}": (values[name], field) for name, field in Settings.model_fields.items()}
    out.show(
        {name: {"value": value, "meaning": field.description or ""} for name, (value, field) in known.items()},
        lambda: "\n".join(f"{name}={value}\n    {field.description or ''}" for name, (value, field) in known.items()),
        known,
    )


def operator(
    health_port: Annotated[
        int | None, typer.Option(help="port of /healthz, /readyz and /metrics (TRANSSHIP_HEALTH_PORT)")
    ] = None,
) -> None:
    """Run the operator until it is told to stop (SIGTERM or SIGINT).

    All settings are environment variables; `transship settings` lists them.
    """
    from transship.cli.environment import load_settings  # noqa: PLC0415 - see `command`
    from transship.cli.wiring import build_operator  # noqa: PLC0415

    chosen = load_settings()
    if health_port is not None:
        chosen = chosen.model_copy(update={"health_port": health_port})
    try:
        running = build_operator(chosen, __version__)
    except TransshipError as error:
        typer.echo(f"transship: {error}", err=True)
        raise typer.Exit(1) from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.stop())
    try:
        status = running.run()
    except OSError as error:
        where = f"{chosen.health_host}:{chosen.health_port}"
        typer.echo(f"transship: the health server cannot listen on {where}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from error
    raise typer.Exit(status)
