"""Files and folders of an overlay, read no further than they may lead; the error of this package."""

import os
import re
from pathlib import Path

from transship.errors import NeedsHuman, Reason
from transship.kustomization.documents import MAX_BYTES

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Schemes, scp's user@host:path, and GitHub without either, as kustomize takes them; also a colon without slashes.
_REMOTE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:|[a-z][a-z0-9-]*@|github\.com[/:])", re.IGNORECASE)


def kustomization_file(folder: Path, shown: Path | None = None) -> Path:
    """The one kustomization of a folder.

    Raises:
        NeedsHuman: InvalidRequest: there is none, or several.
    """
    found = [folder / name for name in FILE_NAMES if (folder / name).exists()]
    if len(found) != 1:
        what = "no kustomization" if not found else "several kustomizations; keep one"
        raise refused(f"{shown or folder} has {what}: {', '.join(FILE_NAMES)}")
    return found[0]


def read_text(file: Path, root: Path, shown: Path | None = None) -> str:
    """Read a file that has to be inside its layer's folder, symbolic links followed.

    Raises:
        NeedsHuman: InvalidRequest: it is elsewhere, is no file, is too large, or no UTF-8.
    """
    shown = shown or file
    try:
        real = file.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise refused(f"{shown} cannot be read: there is no such file") from error
    if not real.is_relative_to(root):
        raise refused(f"{shown} is outside of its folder, by a symbolic link or by its path; put the file into it")
    if not real.is_file():
        raise refused(f"{shown} is no file")
    try:
        with real.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise refused(f"{shown} has more than {MAX_BYTES} bytes")
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused(f"{shown} is not UTF-8 text") from error
    except OSError as error:
        raise refused(f"{shown} cannot be read: {error.strerror}") from error


def is_remote(name: str) -> bool:
    """Whether kustomize might fetch what is named like this."""
    return _REMOTE.match(name) is not None


def seen_from(overlay: Path, folder: Path, path: Path) -> Path:
    """How whoever named the overlay would name a path."""
    return Path(os.path.normpath(overlay / os.path.relpath(path, folder)))


def refused(message: str) -> NeedsHuman:
    """The error of this package."""
    return NeedsHuman(Reason.INVALID_REQUEST, message)
