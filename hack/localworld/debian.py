"""Programs that only Debian packages: taken from the packages without installing them.

A package is fetched by apt, which checks its signature, and unpacked into the per-user cache. Nothing is installed, no
service is started, the system's own lists stay as they are, and root is not needed.
"""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from localworld import locks, paths
from localworld.errors import WorldError

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "redis": ("redis-server",),
    "buildah": ("buildah",),
    "containers": ("containerd", "runc", "containernetworking-plugins"),
    "graphviz": ("graphviz",),
    "prometheus": ("prometheus",),
    "pngquant": ("pngquant",),
    # The shell of Chromium that has no windows: without GTK and what draws with it.
    "chromium": ("chromium-headless-shell",),
    "fonts": ("fonts-dejavu-core", "fonts-roboto-unhinted"),
    "shells": ("zsh", "fish"),
}
ROOTS: Mapping[str, tuple[str, ...]] = {
    "image": ("python3-minimal", "libpython3-stdlib"),
    "image-build": ("python3-minimal", "libpython3-stdlib", "python3-pip", "dash", "coreutils", "findutils"),
}
"""Packages that are unpacked with all that they depend on, the C library included: a root file system to begin with."""
_MERGED = ("bin", "sbin", "lib", "lib64")
_FOLDERS = ("usr/lib/cni", "usr/lib/chromium", "usr/bin", "usr/sbin", "bin", "sbin")
_MAX_MEGABYTES, _PATIENCE_SECONDS = 400, 900


def ensure(name: str) -> None:
    """Fetch what one entry of PACKAGES holds, unless it is in the cache.

    Raises:
        WorldError: this is no Debian-like machine, or its mirrors cannot be reached.
    """
    root = unpacked(name)
    with locks.exclusive(root.with_suffix(".lock"), when_waiting=lambda: _say(f"{name}: another run fetches it")):
        if not root.is_dir():
            _fetch(PACKAGES[name], root)


def ensure_root(name: str) -> Path:
    """As `ensure`, for an entry of ROOTS; returns the directory. No script of a package has been run in it.

    Raises:
        WorldError: as `ensure`.
    """
    root = unpacked(name)
    with locks.exclusive(root.with_suffix(".lock"), when_waiting=lambda: _say(f"{name}: another run fetches it")):
        if not root.is_dir():
            _fetch(ROOTS[name], root, is_whole=True)
    return root


def is_here(name: str) -> bool:
    """Whether nothing has to be fetched."""
    return unpacked(name).is_dir()


def find(name: str, program: str) -> Path:
    """A program of an entry: of its packages, or of the system, where apt found them installed already.

    Raises:
        WorldError: neither has it.
    """
    for base in (unpacked(name), Path("/")):
        for folder in _FOLDERS:
            if os.access(base / folder / program, os.X_OK):
                return base / folder / program
    raise WorldError(f"{program} is not there: install {', '.join(PACKAGES[name])}, or remove {unpacked(name)}.")


def environment(name: str) -> dict[str, str]:
    """What a program of an entry must have in its environment to find its libraries."""
    libraries = sorted({str(file.parent) for file in unpacked(name).glob("usr/lib/**/*.so*")})
    return {"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {}


def unpacked(name: str) -> Path:
    """Where an entry's packages are, once they have been fetched."""
    release = platform.freedesktop_os_release()
    return paths.cache() / "debian" / f"{release['ID']}-{release.get('VERSION_ID', 'unstable')}-{name}"


def _fetch(packages: tuple[str, ...], root: Path, *, is_whole: bool = False) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise WorldError(
            f"This machine has no apt-get: install {', '.join(packages)} by other means, then mkdir {root}"
        )
    _say(f"{', '.join(packages)}: fetching the packages, which are unpacked into the cache and not installed")
    scratch = root.with_suffix(".part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="transship-apt-") as directory:
        nothing = Path(directory, "status")
        nothing.touch()
        installed = {"Dir::State::status": str(nothing)} if is_whole else {}
        _apt(directory, installed, "update")
        _require_bounded(
            _apt(directory, installed, "install", "--print-uris", "--no-install-recommends", "--yes", *packages)
        )
        _apt(directory, installed, "install", "--download-only", "--no-install-recommends", "--yes", *packages)
        for archive in sorted(Path(directory).glob("archives/*.deb")):
            _run("dpkg-deb", "--extract", str(archive), str(scratch))
    if is_whole:
        _merge(scratch)
    scratch.rename(root)


def _merge(root: Path) -> None:
    """Have /bin and its like be links into /usr, as on any Debian; packages may still be made for the time before."""
    for name in _MERGED:
        old, new = root / name, root / "usr" / name
        if old.is_dir() and not old.is_symlink():
            shutil.copytree(old, new, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(old)
            old.symlink_to(f"usr/{name}")


def megabytes(listed: str) -> list[float]:
    """The sizes of what apt would fetch, by its lines `'address' name size digest`; some archives give no digest."""
    return [int(line.split()[2]) / 1_000_000 for line in listed.splitlines() if line.startswith("'")]


def _require_bounded(listed: str) -> None:
    """See that what will be fetched is about what we expect."""
    sizes = megabytes(listed)
    _say(f"{len(sizes)} packages with what they need, {sum(sizes):.0f} MB")
    if sum(sizes) > _MAX_MEGABYTES:
        raise WorldError(
            f"Debian's packages would be {sum(sizes):.0f} MB, more than the {_MAX_MEGABYTES} that are expected."
        )


def _apt(directory: str, more: Mapping[str, str], *arguments: str) -> str:
    for folder in ("lists/partial", "archives/partial"):
        Path(directory, folder).mkdir(parents=True, exist_ok=True)
    own = {
        "Dir::State::lists": f"{directory}/lists",
        "Dir::Cache": directory,
        "Dir::Cache::archives": f"{directory}/archives",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        **more,
    }
    return _run("apt-get", "-qq", *(f"--option={name}={value}" for name, value in own.items()), *arguments)


def _run(*command: str) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise WorldError(
            f"{command[0]} took more than {_PATIENCE_SECONDS} s, so Debian's packages cannot be had."
        ) from error
    if result.returncode != 0:
        raise WorldError(f"{command[0]} failed, so Debian's packages cannot be had: {result.stderr.strip()[-500:]}")
    return result.stdout


def _say(line: str) -> None:
    print(line, flush=True)
