"""`make chart` and `make push-chart`: the chart as one file, and as an artifact of a registry, by the pinned Helm."""

import re
import subprocess
from pathlib import Path

from localworld import paths, tools
from localworld.errors import WorldError
from reference.version import version
from shipping import announcement

CHART = paths.REPOSITORY / "charts" / "transship"
DIST = paths.REPOSITORY / "dist"
_LOOPBACK = ("127.0.0.1", "localhost")
_PUSHED = re.compile(r"^Pushed: (\S+)$", re.MULTILINE)
_DIGEST = re.compile(r"^Digest: (sha256:[0-9a-f]{64})$", re.MULTILINE)


def package(folder: Path = DIST) -> Path:
    """Write the chart to a folder as `transship-VERSION.tgz`.

    Raises:
        WorldError: Helm refuses it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _helm("package", str(CHART), f"--destination={folder}")
    return folder / f"transship-{version()}.tgz"


def push(destination: str, archive: Path | None = None) -> str:
    """Push what `package` wrote, say what it is called there, and return that with its digest.

    Args:
        destination: A folder of a registry, as `oci://ghcr.io/transship/charts`; Helm adds the name and the version.
        archive: The file; that of `make chart` when left out.

    Raises:
        WorldError: That is no folder of a registry, there is no such file, or the registry refuses it.
    """
    if not destination.startswith("oci://"):
        raise WorldError(f"{destination} is no folder of a registry: write oci://REGISTRY/FOLDER.")
    file = archive or DIST / f"transship-{version()}.tgz"
    if not file.is_file():
        raise WorldError(f"{file.name} is not there: run `make chart` first.")
    host = destination.removeprefix("oci://").partition("/")[0].partition(":")[0]
    plain = ["--plain-http"] if host in _LOOPBACK else []
    said = _helm("push", str(file), destination, *plain)
    name, digest = _PUSHED.search(said), _DIGEST.search(said)
    if name is None or digest is None:
        raise WorldError(f"Helm pushed the chart and did not say where to: {said.strip()}")
    reference = f"{name[1].rpartition(':')[0]}@{digest[1]}"
    announcement.announce(reference)
    return reference


def _helm(*arguments: str) -> str:
    tools.ensure(["helm4"])
    command = [str(tools.TOOLS["helm4"].path("helm4")), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise WorldError(f"helm {arguments[0]}: {result.stderr.strip()}")
    return result.stdout + result.stderr
