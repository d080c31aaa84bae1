"""Spans: what takes time, told as it begins and ends, to whoever wants to draw it.

A span is inside of the one that was entered last in its context, and work that goes to another thread takes its context
along (`threads`). Nobody listens unless somebody was given to the copier.
"""

from contextlib import AbstractContextManager
from typing import Protocol


class Span(Protocol):
    """Something that has begun. What it raises is how it ended."""

    def note(self, **facts: object) -> None:
        """Something is known now; a name with underscores, and what it is."""

    def fail(self, message: str) -> None:
        """It did not end well, though nothing is raised."""


class Spans(Protocol):
    """Listens. Thread-safe."""

    def span(self, name: str, /, **facts: object) -> AbstractContextManager[Span]:
        """Something begins, and ends with the context."""

    def close(self) -> None:
        """Nothing more will come."""


class _Nothing:
    """A span that nobody listens to, and the context of it: the same one for all."""

    def note(self, **facts: object) -> None:
        """See `Span`."""

    def fail(self, message: str) -> None:
        """See `Span`."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None:
        """It ended."""


_NOTHING = _Nothing()


class Untraced:
    """Nobody listens."""

    def span(self, name: str, /, **facts: object) -> AbstractContextManager[Span]:  # noqa: ARG002 - the port's signature
        """See `Spans`."""
        return _NOTHING

    def close(self) -> None:
        """See `Spans`."""


UNTRACED: Spans = Untraced()
