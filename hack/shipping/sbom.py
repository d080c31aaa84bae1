"""`make sbom`: every locked Python package of the image, in CycloneDX.

It is made from the lock, so it names what may be installed on any platform, each with the hashes that hold it. What the
base image brings (Python, libc, certificates) is listed by whoever builds the base image.
"""

import subprocess
import sys
from pathlib import Path

from localworld import paths
from localworld.errors import WorldError

FILE = paths.REPOSITORY / "dist" / "sbom.cdx.json"
LOCK = paths.REPOSITORY / "requirements" / "runtime.txt"


def write(file: Path = FILE, lock: Path = LOCK) -> None:
    """Write the list; the same lock gives the same bytes.

    Raises:
        WorldError: The generator failed.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-W", "ignore::UserWarning", "-m", "cyclonedx_py", "requirements", str(lock)),
        *(f"--pyproject={paths.REPOSITORY / 'pyproject.toml'}", "--mc-type=application"),
        *("--spec-version=1.6", "--output-format=JSON", "--output-reproducible", f"--output-file={file}"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise WorldError(f"The list of packages could not be made: {result.stderr.strip()[-500:]}")
