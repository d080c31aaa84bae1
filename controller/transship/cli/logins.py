"""Who one is on each side of a policy, and what one may do there, step by step and without writing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from transship.aws.hosts import EcrHost
from transship.aws.identity import Identity
from transship.aws.permissions import FIND, PULL, PUSH, TOKEN
from transship.cli.ages import age, now
from transship.cli.ecr_repository import EcrRepository
from transship.cli.environment import load_settings
from transship.cli.explain_image import Explanation, Finding, Step, failed, may_write, no_repository
from transship.cli.registries import AwsRegistries, build_registries
from transship.denials import OWN, Kind
from transship.errors import NeedsHuman, Reason, TransshipError
from transship.oci.reference import Repository, Tag
from transship.promotion.policy import Endpoint, PromotionPolicy
from transship.promotion.status import format_time
from transship.registry.repository import HttpRepository

_RIGHTS = "rights"
_PROBE = Tag("transship-login-check")
"""A tag that nobody has: asking for it tells whether one may ask."""


def is_without_rights(explanation: Explanation) -> bool:
    """Whether nothing was found out about what one may do."""
    return any(each.step.endswith(f" {_RIGHTS}") for each in explanation.steps)


def check(policies: Sequence[PromotionPolicy], names: Sequence[str]) -> list[Explanation]:
    """What is found of each policy, with NAMEs of repositories to try rights on.

    Raises:
        NeedsHuman: InvalidRequest, NotCovered: one of the names is none, or of no policy.
    """
    for name in names:
        _require_covered(policies, name)
    registries = build_registries(load_settings())
    return [
        Explanation(f"PromotionPolicy {each.name}", each.name, tuple(_steps(registries, each, names)))
        for each in policies
    ]


def _require_covered(policies: Sequence[PromotionPolicy], name: str) -> None:
    for each in policies:
        try:
            for endpoint in (each.source, each.destination):
                endpoint.repository(name)
        except ValueError as error:
            raise NeedsHuman(Reason.INVALID_REQUEST, f"--repository {name[:80]!r}: {error}") from error
    if not any(_speaks_of(each, name) for each in policies):
        theirs = "; ".join(f"{each.name} has {_patterns(each)}" for each in policies)
        raise NeedsHuman(Reason.NOT_COVERED, f"--repository {name}: no policy speaks of it; {theirs}")


def _speaks_of(policy: PromotionPolicy, name: str) -> bool:
    return any(glob.matches(name) for glob in policy.repositories)


def _patterns(policy: PromotionPolicy) -> str:
    return ", ".join(each.pattern for each in policy.repositories)


def _steps(registries: AwsRegistries, policy: PromotionPolicy, names: Sequence[str]) -> Iterator[Step]:
    chosen = [each for each in names if _speaks_of(policy, each)]
    if not chosen:
        chosen = [each.pattern for each in policy.repositories if not set(each.pattern) & set("*?")][:1]
    why_none: Mapping[str, Step] = {}
    if not chosen:
        chosen, why_none = _listed(registries, policy)
    for side, endpoint in _sides(policy):
        yield from _side(registries, policy, side, endpoint, chosen or why_none[side])


def _sides(policy: PromotionPolicy) -> Sequence[tuple[str, Endpoint]]:
    return ("source", policy.source), ("destination", policy.destination)


def _listed(registries: AwsRegistries, policy: PromotionPolicy) -> tuple[list[str], Mapping[str, Step]]:
    """NAME of one repository that there is and that the policy speaks of; or why neither side shows one."""
    why: dict[str, Step] = {}
    for side, endpoint in _sides(policy):
        found = _look_for_one(registries, policy, endpoint)
        if isinstance(found, str):
            return [found], {}
        sentence = f"{found.message}; name a repository with --repository to see what you may do with it"
        why[side] = replace(found, step=f"{side} {_RIGHTS}", finding=Finding.UNCHECKED, message=sentence)
    return [], why


def _look_for_one(registries: AwsRegistries, policy: PromotionPolicy, endpoint: Endpoint) -> str | Step:
    """The first that fits, or what is told where none is seen."""
    registry, prefix = endpoint.registry, endpoint.repository_prefix
    if EcrHost.of(registry) is None:
        return Step("", Finding.UNCHECKED, f"{registry} is not ECR, and its repositories are not listed")
    try:
        there = registries.listing.repositories(Identity.of(policy.name, endpoint), registry, prefix)
    except TransshipError as error:
        return _unlisted(error, endpoint)
    names = (endpoint.name_of(each) for each in there)
    fitting = next((each for each in names if each is not None and _speaks_of(policy, each)), None)
    if fitting is not None:
        return fitting
    below = f" below {prefix}" if prefix else ""
    count = f"none of the {len(there)} repositories{below}" if there else f"no repository{below}"
    return Step("", Finding.UNCHECKED, f"{count} of {registry} fits {_patterns(policy)}")


def _unlisted(error: TransshipError, endpoint: Endpoint) -> Step:
    """Listing is a right of its own, and nobody needs it to promote: that it lacks is nothing to mend."""
    denial = error.denial
    if error.reason is not Reason.DENIED or denial is None:
        said = "is refused" if error.reason is Reason.DENIED else "did not work"
        return Step("", Finding.UNCHECKED, f"listing the repositories of {endpoint.registry} {said}: {error.message}")
    why = f"{denial.principal} may not {denial.action}, which no promotion needs"
    step = failed("", error, FIND, Repository(endpoint.registry, "*"))
    text = f"listing the repositories of {endpoint.registry} is refused: {why}"
    # What a repository's policy allows is that repository: no such statement lets anybody see all of them.
    return Step("", step.finding, text) if denial.kind is Kind.RESOURCE else replace(step, message=text)


def _side(
    registries: AwsRegistries, policy: PromotionPolicy, side: str, endpoint: Endpoint, names: Sequence[str] | Step
) -> Iterator[Step]:
    """Identity, token, and what one may do with repositories; or a step that says why none is tried."""
    registry = Repository(endpoint.registry, "")
    try:
        caller = registries.caller(policy, endpoint)
        yield Step(f"{side} identity", Finding.OK, caller.arn if caller else "none of AWS: the registry is not ECR")
        registries.authorize(policy, endpoint)
    except TransshipError as error:
        yield failed(side, error, TOKEN, registry)
        return
    yield Step(f"{side} token", Finding.OK, _token(registries, policy, endpoint))
    if isinstance(names, Step):
        yield names
        return
    look = _look_at_source if side == "source" else _look_at_destination
    for name in names:
        yield from look(registries, policy, endpoint.repository(name))


def _token(registries: AwsRegistries, policy: PromotionPolicy, endpoint: Endpoint) -> str:
    token = registries.token(policy, endpoint)
    if token is None:
        return f"good for {endpoint.registry}"
    moment = now()
    return (
        f"good for {endpoint.registry}, {age(token.issued, moment)} old, for another {age(moment, token.expires)} "
        f"(until {format_time(token.expires)})"
    )


def _look_at_source(registries: AwsRegistries, policy: PromotionPolicy, repository: Repository) -> Iterator[Step]:
    store = registries.source(policy, repository)
    try:
        if isinstance(store, EcrRepository) and not store.is_there_to_read(_PROBE):
            yield _no_source(repository)
            return
        store.resolve(_PROBE)
    except TransshipError as error:
        step = failed("source", error, PULL, repository)
        unseen = "; whether there is such a repository cannot be seen either" if error.reason is Reason.DENIED else ""
        yield replace(step, message=f"{step.message}{unseen}")
        return
    yield _may_look("source", store)


def _no_source(repository: Repository) -> Step:
    text = (
        f"{repository} does not exist: push to it, or name another; whether its layers may be read cannot be seen "
        "before, and needs this"
    )
    return Step("source repository", Finding.MISSING, text, PULL.statement(repository), OWN)


def _look_at_destination(registries: AwsRegistries, policy: PromotionPolicy, repository: Repository) -> Iterator[Step]:
    store = registries.destination(policy, repository)
    try:
        if isinstance(store, EcrRepository) and not store.exists():
            yield no_repository(policy, repository)
        else:
            store.resolve(_PROBE)
            yield _may_look("destination", store)
    except TransshipError as error:
        yield failed("destination", error, PUSH, repository)
        return
    if isinstance(store, EcrRepository):
        yield may_write(repository)


def _may_look(side: str, store: EcrRepository | HttpRepository) -> Step:
    text = f"may look into {store.repository}"
    if not isinstance(store, EcrRepository):
        text += ", if it exists: its registry says the same of a repository that does not"
    return Step(f"{side} read", Finding.OK, text)
