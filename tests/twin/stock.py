"""Stock clients that are no pinned Go tools: where they come from, and the sentence when they are not there."""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from localworld import locks, paths

#: The AWS CLI pins what it is built on, so it has a lock and an environment of its own. `awscli.in` is its source:
#: `uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header`.
AWS_CLI = Path(__file__).with_name("awscli.txt")


def skopeo() -> Path:
    """Find skopeo, which is packaged by every distribution.

    Raises:
        LookupError: saying what to install.
    """
    found = shutil.which("skopeo")
    if found is None:
        raise LookupError("skopeo is missing: install the package skopeo (apt-get install skopeo) and try again.")
    return Path(found)


def aws_cli() -> Path:
    """Give the `aws` command, installed from its lock into the per-user cache the first time.

    Raises:
        LookupError: it could not be installed.
    """
    home = paths.cache() / "toolchains" / f"awscli-{hashlib.sha256(AWS_CLI.read_bytes()).hexdigest()[:12]}"
    with locks.exclusive(home.with_suffix(".lock"), when_waiting=lambda: print("awscli: another run installs it")):
        if not (home / ".complete").exists():
            _install(home)
    return home / "bin" / "aws"


def _install(home: Path) -> None:
    venv.create(home, clear=True, symlinks=True, with_pip=False)
    command = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--quiet"]
    options = ["--disable-pip-version-check", "--no-cache-dir", "--require-hashes", f"--requirement={AWS_CLI}"]
    result = subprocess.run([*command, *options], check=False, capture_output=True, text=True)
    if result.returncode != 0:
        raise LookupError(f"The AWS CLI could not be installed from {AWS_CLI.name}: {result.stderr.strip()}")
    (home / ".complete").touch()
