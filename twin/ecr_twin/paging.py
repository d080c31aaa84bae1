"""Pages: opaque continuation tokens and an order that promises nothing (L1, L2, fact 24)."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ecr_twin.errors import invalid

Item = TypeVar("Item")


def shuffled(text: str) -> str:
    """Sort key that puts names in a stable order which is not that of the names."""
    return hashlib.sha256(text.encode()).hexdigest()


def page(
    items: Iterable[Item], key: Callable[[Item], str], token: str | None, limit: int
) -> tuple[Sequence[Item], str | None]:
    """Cut one page.

    Args:
        items: all items.
        key: unique sort key of an item; pages stay right while items come and go.
        token: continuation token of the page before, None for the first page.
        limit: most items on the page.

    Returns:
        The items, and the token of the next page, None after the last.
    """
    after = _decode(token) if token else ""
    rest = sorted((item for item in items if key(item) > after), key=key)
    cut = rest[:limit]
    return cut, encode(key(cut[-1])) if len(rest) > limit else None


def encode(key: str) -> str:
    """Make a continuation token."""
    return base64.urlsafe_b64encode(f"after:{key}".encode()).decode()


def _decode(token: str) -> str:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid("nextToken", "Invalid token") from error
    if not text.startswith("after:"):
        raise invalid("nextToken", "Invalid token")
    return text.removeprefix("after:")
