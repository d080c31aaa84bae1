"""`make release-check` and `make sign`: what a release has to be, and who says that it is ours.

A signature is keyless: cosign has the identity of the workflow certified, and keeps no key.
"""

import re
import shutil
import subprocess

from localworld import paths
from localworld.errors import WorldError
from reference.version import version

CHANGELOG = paths.REPOSITORY / "CHANGELOG.md"
_BY_DIGEST = re.compile(r"[a-z0-9][\w.:/-]*@sha256:[0-9a-f]{64}")


def check(tag: str) -> None:
    """See that a git tag is the version of pyproject.toml, and that the changelog has it.

    Raises:
        WorldError: One of them says something else.
    """
    wanted = f"v{version()}"
    if tag != wanted:
        raise WorldError(f"The tag is {tag} and pyproject.toml has {version()}: tag {wanted}, or change the version.")
    if f"\n## {version()}" not in CHANGELOG.read_text(encoding="utf-8"):
        raise WorldError(f"CHANGELOG.md has no section {version()}: name Unreleased so, with the date.")


def sign(reference: str) -> None:
    """Sign what is in a registry with cosign.

    Raises:
        WorldError: It is not named by digest, cosign is not there, or it failed.
    """
    if not _BY_DIGEST.fullmatch(reference):
        raise WorldError(f"{reference} names no digest: sign NAME@sha256:..., which nobody can move meanwhile.")
    if shutil.which("cosign") is None:
        raise WorldError(
            "cosign is not on PATH: install it (https://docs.sigstore.dev/cosign/system_config/installation)."
        )
    if subprocess.run(["cosign", "sign", "--yes", reference], check=False).returncode != 0:
        raise WorldError(f"{reference} was not signed, as cosign says above.")
