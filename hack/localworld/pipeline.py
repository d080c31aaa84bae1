"""The second act of `make demo`: what a release engineer, or a pipeline, does with overlays without a cluster."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from localworld import paths, tools
from localworld.accounts import PRODUCTION, identities, registry
from localworld.errors import WorldError
from localworld.gitrepository import GitRepository
from localworld.registries import Registries
from localworld.world import SAMPLE_REPOSITORY, push_sample

OVERLAY = "overlays/production"
DONE, TO_DO = 0, 2


def show(registries: Registries, tell: Callable[[str, str], None], tag: str = "v1.6.0") -> None:
    """Set, check, plan and promote a version that production does not have.

    Args:
        registries: the two accounts.
        tell: shows a command and what it said.
        tag: a version that nobody has pushed.

    Raises:
        WorldError: a step did not show what it promises.
    """
    digest = push_sample(registries, [tag])[tag]
    with GitRepository() as repository:
        repository.copy(
            paths.REPOSITORY / "overlays", "overlays", "The sample overlays, and transship.yaml beside them"
        )

        def run(expected: int, *arguments: str) -> None:
            status, said = _run(registries, repository.directory, arguments)
            tell(f"transship {' '.join(arguments)}   # exit code {status}", said)
            if status != expected:
                raise WorldError(f"transship {arguments[0]} ended with {status} and not with {expected}.")

        run(DONE, "set-image", OVERLAY, f"shop/checkout:{tag}")
        run(DONE, "check", OVERLAY)
        run(TO_DO, "plan", OVERLAY)
        _require(registries, tag, "")
        run(DONE, "promote", OVERLAY)
        run(DONE, "plan", OVERLAY)
        _require(registries, tag, digest)


def _run(registries: Registries, folder: Path, arguments: tuple[str, ...]) -> tuple[int, str]:
    kustomize = str(tools.TOOLS["kustomize"].path("kustomize"))
    done = subprocess.run(
        [sys.executable, "-m", "transship", *arguments],
        env=os.environ
        | registries.environment(identities()["transship-controller"])
        | {"TRANSSHIP_KUSTOMIZE": kustomize, "NO_COLOR": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stderr + done.stdout) or "(nothing was found)"


def _require(registries: Registries, tag: str, digest: str) -> None:
    """What production holds under the tag, by a client that is not ours; nothing when the digest is empty."""
    auditor = identities()["auditor"]
    image = f"{registry(PRODUCTION)}/{SAMPLE_REPOSITORY}"
    try:
        seen = registries.crane(auditor, "digest", f"{image}:{tag}")
    except WorldError:
        seen = ""
    if seen != digest:
        raise WorldError(f"{image}:{tag} is {seen or 'nothing'} in production, and was to be {digest or 'nothing'}.")
