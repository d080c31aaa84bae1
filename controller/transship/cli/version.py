"""`transship version`: which one it is."""

from transship import __version__
from transship.cli.command import command
from transship.cli.output import Output


@command
def version(*, out: Output) -> None:
    """Print the version, and that of Python; `-o name` prints the version alone."""
    import platform  # noqa: PLC0415 - see `command`

    python = platform.python_version()
    out.show(
        {"version": __version__, "python": python},
        lambda: f"transship {__version__} (Python {python})",
        [__version__],
    )
