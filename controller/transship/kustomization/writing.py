"""Showing and writing what has become of a file."""

import difflib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from transship.kustomization.files import refused

_NEW = 0o644


def unified_diff(name: str, before: str, after: str) -> Iterator[str]:
    """A unified diff that `git apply` takes, of a file that lives in both trees under one name."""
    name = name.lstrip("/")
    lines = difflib.unified_diff(_lines(before), _lines(after), f"a/{name}", f"b/{name}")
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(text: str) -> list[str]:
    # Not splitlines(), which takes more for a line's end than git does.
    return [each for each in re.split(r"(?<=\n)", text) if each]


def write_together(texts: Mapping[Path, str], shown: Callable[[Path], object]) -> None:
    """Replace the contents of files, each in one step and with its mode: of all of them, or of none.

    Each is written beside its file first, by a name that nobody could have taken before: the overlay may be a
    stranger's. So a folder that may not be written to, or a full disk, is met before anything has changed; where a file
    itself may not be replaced, those before it are put back.

    Args:
        texts: new texts by file, symbolic links followed; a file that is not there is made.
        shown: how messages call a file.

    Raises:
        NeedsHuman: InvalidRequest: one cannot be written; none has changed, or the message says which ones have.
    """
    staged, replaced = dict[Path, Path](), dict[Path, bytes | None]()
    file = Path()
    try:
        for file, text in texts.items():
            staged[file] = _beside(file, text.encode())
        for file, ready in staged.items():
            before = file.read_bytes() if file.exists() else None
            ready.replace(file)
            replaced[file] = before
    except BaseException as error:
        left = [str(shown(each)) for each in _put_back(replaced)]
        if not isinstance(error, OSError):
            raise
        end = f"{', '.join(left)} has changed already and cannot be put back" if left else "nothing was changed"
        raise refused(f"{shown(file)} cannot be written: {error.strerror}; {end}") from error
    finally:
        for ready in staged.values():
            ready.unlink(missing_ok=True)


def _put_back(contents: Mapping[Path, bytes | None]) -> Iterator[Path]:
    """Give files the contents they had; those that cannot be given theirs."""
    for file, content in contents.items():
        try:
            if content is None:
                file.unlink()
            else:
                _beside(file, content).replace(file)
        except OSError:
            yield file


def _beside(file: Path, content: bytes) -> Path:
    """A file with this content, ready to replace another."""
    mode = file.stat().st_mode & 0o7777 if file.exists() else _NEW
    with tempfile.NamedTemporaryFile("wb", dir=file.parent, prefix=f".{file.name}.", delete=False) as written:
        try:
            written.write(content)
            written.flush()
            os.fchmod(written.fileno(), mode)
        except BaseException:
            Path(written.name).unlink(missing_ok=True)
            raise
    return Path(written.name)
