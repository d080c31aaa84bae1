"""The cross-account statement of source repositories: shown, compared, put in place and taken away.

What the operator does with `sourceAccess.managePolicy` can be looked at, done and undone by anybody with the AWS
rights for it. A policy need not say `managePolicy` for that. Who runs a command is who may edit repository policies,
which is hardly ever who reads images: so the statement's account is never taken from the credentials found here.
"""

import difflib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import typer

from transship.aws.hosts import EcrHost
from transship.aws.policy_document import Grant, PolicyDocument
from transship.aws.repository_policy import ASK_AGAIN_SECONDS, Edit
from transship.aws.source_access import SourceAccess, grant_to
from transship.cli.environment import load_settings
from transship.cli.exits import Exit
from transship.cli.output import Colour, Format, Output, clean, paint
from transship.cli.policy_files import read_policies
from transship.cli.registries import build_registries
from transship.errors import Reason, RetryLater, TransshipError
from transship.oci.reference import Repository
from transship.promotion.policy import PolicyError, PromotionPolicy

_COLOURS = {"+": Colour.GOOD, "-": Colour.BAD}
_NOT_NEEDED = "no statement is needed: whoever reads is in the source's account"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which repositories of which policies, and for whom.

    Attributes:
        account: of whoever reads the source, where it is not the one that the policy tells.
        everything: all repositories of the source that match, instead of `paths`.
    """

    files: Sequence[str]
    paths: Sequence[str] | None
    account: str | None
    everything: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """One repository of one policy."""

    policy: PromotionPolicy
    repository: Repository


def show_statements(asked: Asked, *, as_terraform: bool) -> None:
    """Print the statement of each policy; AWS is not asked anything."""
    with _telling():
        for policy in read_policies(asked.files):
            grant = _grant(policy, asked.account)
            if grant is None:
                typer.echo(f"{policy.name}: {_NOT_NEEDED}", err=True)
            elif as_terraform:
                chosen = [each.repository.path for each in _named([policy], asked.paths or ())]
                typer.echo(_terraform(grant, chosen or _example(policy)))
            else:
                typer.echo(_pretty(PolicyDocument((grant.statement(),))))


def compare_statements(asked: Asked, out: Output) -> None:
    """Print what each statement would change.

    Raises:
        typer.Exit: something differs, or cannot be compared.
    """
    with _telling() as access:
        places = list(_places(access, asked))
        found = [_compare(access, each, _grant(each.policy, asked.account)) for each in places]
    differing = [each for each in found if each.edit is not None]
    out.show(
        [each.document for each in found],
        lambda: "\n".join(each.text for each in found),
        [str(each.place.repository) for each in differing],
    )
    if differing:
        raise typer.Exit(Exit.SOMETHING_TO_DO)


def apply_statements(asked: Asked, patience: float, out: Output) -> None:
    """Put statements in place, as AWS is ready for them."""

    def put(access: SourceAccess, place: _Place) -> str:
        grant = _grant(place.policy, asked.account)
        if grant is None:
            return _NOT_NEEDED
        return "statement written" if access.apply(place.policy, place.repository, grant) else "in place"

    _do(asked, _patiently(put, patience), out)


def remove_statements(asked: Asked, patience: float, out: Output) -> None:
    """Take statements away, as AWS is ready for it."""

    def take(access: SourceAccess, place: _Place) -> str:
        found = access.remove(place.policy, place.repository, _grantee(place.policy, asked.account))
        return "statement removed" if found else "was not there"

    _do(asked, _patiently(take, patience), out)


Deed = Callable[[SourceAccess, _Place], str]


def _do(asked: Asked, deed: Deed, out: Output) -> None:
    """Do something to each repository; people hear of it as it is done, and programs also when the next one fails."""
    done: list[tuple[_Place, str]] = []
    with _telling() as access:
        try:
            for place in _places(access, asked):
                done.append((place, deed(access, place)))
                if out.output is Format.TABLE:
                    out.print(f"{place.repository}: {done[-1][1]}")
        finally:
            out.show(
                [
                    {"repository": str(place.repository), "policy": place.policy.name, "result": said}
                    for place, said in done
                ],
                lambda: "",
                [str(place.repository) for place, _ in done],
            )


def _patiently(deed: Deed, seconds: float) -> Deed:
    """Do what AWS is not ready for again and again, as the operator does, and say so."""

    def do(access: SourceAccess, place: _Place) -> str:
        end = time.monotonic() + seconds
        while True:
            try:
                return deed(access, place)
            except RetryLater as error:
                pause = error.after or ASK_AGAIN_SECONDS
                if error.reason is not Reason.SOURCE_ACCESS_PENDING or time.monotonic() + pause > end:
                    raise
                typer.echo(f"{place.repository}: {error.message}; trying again in {pause:.0f} s", err=True)
                time.sleep(pause)

    return do


@contextmanager
def _telling() -> Iterator[SourceAccess]:
    """What the commands work with; errors become a sentence and exit code 1."""
    try:
        yield build_registries(load_settings(exit_code=1)).source_access
    except (TransshipError, PolicyError) as error:
        typer.echo(f"transship: {error}", err=True)
        raise typer.Exit(1) from error


def _grant(policy: PromotionPolicy, account: str | None) -> Grant | None:
    """What the policy's statement says; None when whoever reads needs none."""
    if account is None and policy.source.role_arn is not None and not _abroad(policy):
        return None
    return grant_to(_grantee(policy, account), policy)


def _grantee(policy: PromotionPolicy, account: str | None) -> str:
    """The account that a statement is for, needed or not: that of a reader elsewhere, else the destination's."""
    there = EcrHost.of(policy.destination.registry)
    chosen = account or _abroad(policy) or (there.account if there else "")
    if not re.fullmatch("[0-9]{12}", chosen):
        raise PolicyError(
            f"{chosen!r} is not an account of twelve digits"
            if chosen
            else f"policy {policy.name}: {policy.destination.registry} is not ECR, so say with --account who reads"
        )
    return chosen


def _abroad(policy: PromotionPolicy) -> str:
    """The account of the role that reads, unless it is the source's own."""
    host, role = EcrHost.of(policy.source.registry), policy.source.role_arn
    account = role.split(":")[4] if role else ""
    return "" if host is not None and account == host.account else account


def _places(access: SourceAccess, asked: Asked) -> Iterator[_Place]:
    policies = list(read_policies(asked.files))
    if bool(asked.paths) == asked.everything:
        raise PolicyError("name repositories, or say --all")
    if asked.paths:
        yield from _named(policies, asked.paths)
        return
    for policy in policies:
        yield from (_Place(policy, repository) for repository in access.matching(policy))


def _named(policies: Sequence[PromotionPolicy], paths: Sequence[str]) -> Iterator[_Place]:
    for path in paths:
        found = [place for policy in policies if (place := _covered(policy, path)) is not None]
        if not found:
            raise PolicyError(f"no policy given covers the source repository {path}")
        yield from found


def _covered(policy: PromotionPolicy, path: str) -> _Place | None:
    registry = policy.source.registry
    try:
        repository = Repository.of(registry, path.removeprefix(f"{registry}/"))
    except ValueError:
        return None
    name = policy.source.name_of(repository)
    is_covered = name is not None and any(glob.matches(name) for glob in policy.repositories)
    return _Place(policy, repository) if is_covered else None


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One repository, and what would be changed there; `edit` is None where nothing would."""

    place: _Place
    said: str
    edit: Edit | None = None

    @property
    def text(self) -> str:
        """For people: a sentence, or a difference."""
        repository = self.place.repository
        if self.edit is None:
            return f"{repository}: {self.said}"
        before, after = (_pretty(each).splitlines() for each in (self.edit.before, self.edit.after))
        lines = difflib.unified_diff(before, after, f"{repository} (is)", f"{repository} (wanted)", lineterm="")
        return "\n".join(paint(clean(line), _COLOURS.get(line[:1])) for line in lines)

    @property
    def document(self) -> Mapping[str, object]:
        """For programs: both documents where they differ."""
        found = {"repository": str(self.place.repository), "policy": self.place.policy.name, "result": self.said}
        if self.edit is None:
            return found
        both = {"is": self.edit.before, "wanted": self.edit.after}
        return found | {name: json.loads(_pretty(each)) for name, each in both.items()}


def _compare(access: SourceAccess, place: _Place, grant: Grant | None) -> _Comparison:
    if grant is None:
        return _Comparison(place, _NOT_NEEDED)
    edit = access.plan(place.policy, place.repository, grant)
    return _Comparison(place, "differs", edit) if edit.is_needed else _Comparison(place, "in place")


def _pretty(document: PolicyDocument) -> str:
    return json.dumps(dict(document.other) | {"Statement": list(document.statements)}, indent=2)


def _example(policy: PromotionPolicy) -> list[str]:
    """The repositories of a policy's patterns that are names; a pattern that is not stands as it is."""
    return [f"{policy.source.repository_prefix}{glob.pattern}" for glob in policy.repositories]


def _terraform(grant: Grant, paths: Iterable[str]) -> str:
    content = _pretty(PolicyDocument((grant.statement(),))).replace("\n", "\n  ")
    return "\n\n".join(
        f'resource "aws_ecr_repository_policy" "{re.sub("[^a-z0-9_]", "_", path)}" {{\n'
        f'  repository = "{path}"\n'
        f"  # This resource owns the whole document: add the statements of others here.\n"
        f"  policy = jsonencode({content})\n"
        "}"
        for path in paths
    )
