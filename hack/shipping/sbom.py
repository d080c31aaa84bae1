"""`make sbom`: the locked Python packages of the image, in CycloneDX.

It is made from the lock, of which it has what is installed on Linux, on any processor that there are images for, each
with the hashes that hold it. What the base image brings (Python itself, OpenSSL, libc, certificates) is not in it:
whoever builds the base image lists that, and a scanner finds it in the image.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from localworld import paths
from localworld.errors import WorldError

FILE = paths.REPOSITORY / "dist" / "sbom.cdx.json"
LOCK = paths.REPOSITORY / "requirements" / "runtime.txt"
DOCKERFILE = paths.REPOSITORY / "Dockerfile"
_MACHINES = ("x86_64", "aarch64")
_CONTINUED = "\\\n"


def write(file: Path = FILE, lock: Path = LOCK) -> None:
    """Write the list; the same lock gives the same bytes.

    Raises:
        WorldError: The generator failed.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        installed = Path(scratch, lock.name)
        installed.write_text("".join(_installed(lock.read_text(encoding="utf-8"))), encoding="utf-8")
        command = [
            *(sys.executable, "-W", "ignore::UserWarning", "-m", "cyclonedx_py", "requirements", str(installed)),
            *(f"--pyproject={paths.REPOSITORY / 'pyproject.toml'}", "--mc-type=application"),
            *("--spec-version=1.6", "--output-format=JSON", "--output-reproducible", f"--output-file={file}"),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise WorldError(f"The list of packages could not be made: {result.stderr.strip()[-500:]}")


def _installed(lock: str) -> Iterator[str]:
    """The entries of a lock that are installed in an image, each in one line."""
    for entry in lock.replace(_CONTINUED, " ").splitlines():
        marker = Requirement(entry.partition(" --hash")[0]).marker if entry.strip() else None
        if entry.strip() and (marker is None or any(marker.evaluate(each) for each in _environments())):
            yield f"{entry}\n"


def _environments() -> Iterator[dict[str, str]]:
    """What markers are told in the image; what is not said here is not known before it runs."""
    (minor,) = re.findall(r"^ARG PYTHON=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    for machine in _MACHINES:
        yield {
            "implementation_name": "cpython",
            "implementation_version": f"{minor}.0",
            "os_name": "posix",
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{minor}.0",
            "python_version": minor,
            "sys_platform": "linux",
        }
