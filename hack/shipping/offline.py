"""The parts of an image where no registry of images can be reached: bases of Debian's packages, and wheels in a folder.

The bases have this machine's Debian release and Python, and like the real ones: the first a shell and pip, the second
neither. So the Dockerfile is built as it is, by a real builder; only what it starts from is another.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from localworld import debian, locks, paths
from localworld.errors import WorldError
from shipping.builders import Builder

LOCKS = ("build.txt", "runtime.txt", "twin.txt")
PLACE = "/wheels"
USER = 65532
_LIBC = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
_ONLY = {"image": ("python3",)}
"""What of /usr/bin a base keeps, by the beginning of the name; without an entry all of it."""
_FOLDERS = ("tmp", "proc", "sys", "dev", "run", "root", "home/nonroot")
_CONTAINERFILE = "FROM scratch\nADD base.tar /\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"


def prepare() -> None:
    """Fetch what is missing: to be called before a network of our own is entered.

    Raises:
        WorldError: Something could not be had.
    """
    debian.ensure("buildah")
    for name in debian.ROOTS:
        debian.ensure_root(name)
    wheels()


def arguments(builder: Builder, scratch: Path) -> Mapping[str, str]:
    """Make the two bases in the store of a builder; returns what the Dockerfile has to be told."""
    for name in debian.ROOTS:
        _make_base(builder, name, scratch)
    return {
        "BUILD_IMAGE": _called("image-build"),
        "RUNTIME_IMAGE": _called("image"),
        "PYTHON": _python(),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": PLACE,
    }


def wheels() -> Path:
    """The folder of the locked wheels, for the Python of the bases.

    Raises:
        WorldError: pip could not fetch them.
    """
    said = "".join(_lock(name).read_text(encoding="utf-8") for name in LOCKS)
    key = hashlib.sha256(f"{_python()}|{platform.machine()}|{said}".encode()).hexdigest()[:12]
    folder = paths.cache() / "wheels" / key
    with locks.exclusive(folder.with_suffix(".lock"), when_waiting=lambda: print("wheels: another run fetches them")):
        if not folder.is_dir():
            scratch = folder.with_suffix(".part")
            shutil.rmtree(scratch, ignore_errors=True)
            for name in LOCKS:
                _download(_lock(name), scratch)
            scratch.rename(folder)
    return folder


def _download(lock: Path, folder: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"),
        *("--require-hashes", "--no-deps", "--only-binary=:all:", "--implementation=cp"),
        f"--python-version={_python()}",
        *(f"--platform={libc}_{platform.machine()}" for libc in _LIBC),
        *(f"--dest={folder}", f"--requirement={lock}"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise WorldError(f"The locked wheels could not be fetched: {result.stderr.strip()[-500:]}")


def _make_base(builder: Builder, name: str, scratch: Path) -> None:
    context = scratch / name
    context.mkdir(parents=True)
    (context / "Containerfile").write_text(_CONTAINERFILE, encoding="utf-8")
    kept = _ONLY.get(name, ("",))
    with tarfile.open(context / "base.tar", "w") as archive:
        archive.add(debian.ensure_root(name), ".", filter=lambda entry: _chosen(entry, kept))
        for folder in _FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
    command = [*builder.program, "build", "--quiet", f"--tag={_called(name)}", str(context)]
    result = subprocess.run(command, env=os.environ | builder.environment, capture_output=True, text=True, check=False)
    shutil.rmtree(context)
    if result.returncode != 0:
        raise WorldError(f"The base {name} could not be made: {result.stderr.strip()[-500:]}")


def _chosen(entry: tarfile.TarInfo, kept: tuple[str, ...]) -> tarfile.TarInfo | None:
    folder, _, name = entry.name.rpartition("/")
    if folder in {"./usr/bin", "./usr/sbin"} and not name.startswith(kept):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _python() -> str:
    """The minor of the bases' Python, as 3.13."""
    return (debian.ensure_root("image") / "usr/bin/python3").readlink().name.removeprefix("python")


def _lock(name: str) -> Path:
    return paths.REPOSITORY / "requirements" / name


def _called(name: str) -> str:
    return f"localhost/transship-{name}"
