"""Showing and writing what has become of a file."""

import difflib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path


def unified_diff(name: str, before: str, after: str) -> Iterator[str]:
    """A unified diff that `git apply` takes, of a file that lives in both trees under one name."""
    name = name.lstrip("/")
    lines = difflib.unified_diff(_lines(before), _lines(after), f"a/{name}", f"b/{name}")
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(text: str) -> list[str]:
    # Not splitlines(), which takes more for a line's end than git does.
    return [each for each in re.split(r"(?<=\n)", text) if each]


def write_at_once(file: Path, text: str) -> None:
    """Replace a file's content in one step, with its mode."""
    with tempfile.NamedTemporaryFile("wb", dir=file.parent, prefix=f".{file.name}.", delete=False) as written:
        try:
            written.write(text.encode())
            written.flush()
            os.fchmod(written.fileno(), file.stat().st_mode & 0o7777)
            Path(written.name).replace(file)
        except BaseException:
            Path(written.name).unlink(missing_ok=True)
            raise
