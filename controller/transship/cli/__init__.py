"""The command line, and the composition root: the one place where adapters meet."""

from transship.cli.app import app

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    app()
