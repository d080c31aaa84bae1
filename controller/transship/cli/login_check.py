"""`transship login-check`: who one is on each side of a policy, and what one may do there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from transship.cli.command import command
from transship.cli.exits import Exit
from transship.cli.kube import Kube
from transship.cli.output import Output
from transship.cli.policy_options import FilesOrCluster
from transship.errors import NeedsHuman, Reason

if TYPE_CHECKING:
    from transship.promotion.policy import PromotionPolicy


@command
def login_check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="POLICY", help="PromotionPolicies; all by default")
    ] = None,
    *,
    files: FilesOrCluster = None,
    repositories: Annotated[
        list[str] | None,
        typer.Option(
            "--repository",
            metavar="NAME",
            help="NAME of a repository, as spec.repositories has it, to try rights on; by default the first that a "
            "policy spells out, or else one of its patterns that a registry lists, also of a policy that speaks of "
            "none of those named; may be repeated",
        ),
    ] = None,
    kube: Kube,
    out: Output,
) -> None:
    """Say who you are on each side of a policy, how long the token is good for, and what you may do.

    It is done with the credentials found here, and writes nothing: whether you may write or create cannot be seen, and
    is told with the statement it needs. Of a repository that does not exist nothing can be seen: at the source it is
    missing, at the destination it is where no policy has it created.

    Exit code 0: nothing is missing, 1: something is, 2: rights were not looked at, for want of a repository to try.
    """
    # What talks to AWS takes half a second to load.
    from transship.cli.configuration import read_cluster, read_files  # noqa: PLC0415
    from transship.cli.explain_image import as_document, lines_of  # noqa: PLC0415
    from transship.cli.logins import check, is_without_rights  # noqa: PLC0415

    found_policies = read_files(files) if files else read_cluster(kube.connect(out).cluster)
    policies = _chosen(found_policies.policies, names or ())
    found = check(policies, repositories or ())
    out.show(
        [as_document(each) for each in found],
        lambda: "\n".join(line for each in found for line in lines_of(each)),
        [each.policy for each in found],
    )
    wrong = sum(not each.is_ok for each in found)
    if wrong:
        out.say(f"transship: for {wrong} of {len(found)} something is missing")
        raise typer.Exit(Exit.ERROR)
    if any(is_without_rights(each) for each in found):
        raise typer.Exit(Exit.SOMETHING_TO_DO)


def _chosen(policies: "Sequence[PromotionPolicy]", names: Sequence[str]) -> "Sequence[PromotionPolicy]":
    known = {each.name: each for each in policies}
    for name in names:
        if name not in known:
            there = ", ".join(sorted(known))
            raise NeedsHuman(Reason.INVALID_REQUEST, f"there is no PromotionPolicy {name[:80]}; there are {there}")
    return [known[name] for name in names] or policies
