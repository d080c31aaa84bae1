"""Text that somebody hands over, by a file's name or on standard input: no more is read than will be used."""

import sys
from pathlib import Path

from transship.errors import NeedsHuman, Reason
from transship.kustomization.documents import MAX_BYTES

STANDARD_INPUT = "-"


def read_given(name: str, max_bytes: int = MAX_BYTES) -> str:
    """The text of a file, or of standard input where the name is -.

    Raises:
        NeedsHuman: InvalidRequest: it cannot be read, is too large, or no UTF-8.
    """
    try:
        if name == STANDARD_INPUT:
            data = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with Path(name).open("rb") as opened:
                data = opened.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "there is no such name"
        raise NeedsHuman(Reason.INVALID_REQUEST, f"{name} cannot be read: {why}") from error
    if len(data) > max_bytes:
        raise NeedsHuman(Reason.INVALID_REQUEST, f"{name} has more than {max_bytes} bytes; hand over less at once")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NeedsHuman(Reason.INVALID_REQUEST, f"{name} cannot be read: it is not UTF-8") from error
