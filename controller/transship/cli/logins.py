"""Who one is on each side of a policy, and what one may do there, step by step and without writing."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from transship.aws.hosts import EcrHost
from transship.aws.identity import Identity
from transship.aws.permissions import PULL, PUSH, TOKEN
from transship.cli.ages import age, now
from transship.cli.ecr_repository import EcrRepository
from transship.cli.environment import load_settings
from transship.cli.explain_image import Explanation, Finding, Step, failed
from transship.cli.registries import AwsRegistries, build_registries
from transship.denials import OWN
from transship.errors import NeedsHuman, Reason, TransshipError
from transship.oci.reference import Repository, Tag
from transship.promotion.policy import Endpoint, PromotionPolicy
from transship.promotion.status import format_time

_RIGHTS = "rights"
_PROBE = Tag("transship-login-check")
"""A tag that nobody has: asking for it tells whether one may ask."""


def is_without_rights(explanation: Explanation) -> bool:
    """Whether nothing was found out about what one may do."""
    return any(each.step.endswith(f" {_RIGHTS}") for each in explanation.steps)


def check(policies: Sequence[PromotionPolicy], names: Sequence[str]) -> list[Explanation]:
    """What is found of each policy, with NAMEs of repositories to try rights on.

    Raises:
        NeedsHuman: one of the names is none.
    """
    registries = build_registries(load_settings())
    return [
        Explanation(f"PromotionPolicy {each.name}", each.name, tuple(_steps(registries, each, names)))
        for each in policies
    ]


def _steps(registries: AwsRegistries, policy: PromotionPolicy, names: Sequence[str]) -> Iterator[Step]:
    chosen = names or [each.pattern for each in policy.repositories if not set(each.pattern) & set("*?")][:1]
    if not chosen:
        chosen = _listed(registries, policy)
    for side, endpoint in (("source", policy.source), ("destination", policy.destination)):
        yield from _side(registries, policy, side, endpoint, chosen)


def _listed(registries: AwsRegistries, policy: PromotionPolicy) -> list[str]:
    """NAME of one repository that there is and that the policy speaks of; none where that cannot be seen."""
    for endpoint in (policy.source, policy.destination):
        if EcrHost.of(endpoint.registry) is None:
            continue
        identity, prefix = Identity.of(policy.name, endpoint), endpoint.repository_prefix
        with suppress(TransshipError):  # listing is a right of its own, and nobody needs it to promote
            for each in registries.listing.repositories(identity, endpoint.registry, prefix):
                name = endpoint.name_of(each)
                if name is not None and any(glob.matches(name) for glob in policy.repositories):
                    return [name]
    return []


def _side(
    registries: AwsRegistries, policy: PromotionPolicy, side: str, endpoint: Endpoint, names: Sequence[str]
) -> Iterator[Step]:
    registry = Repository(endpoint.registry, "")
    try:
        caller = registries.caller(policy, endpoint)
        yield Step(f"{side} identity", Finding.OK, caller.arn if caller else "none of AWS: the registry is not ECR")
        registries.authorize(policy, endpoint)
    except TransshipError as error:
        yield failed(side, error, TOKEN, registry)
        return
    yield Step(f"{side} token", Finding.OK, _token(registries, policy, endpoint))
    if not names:
        yield Step(
            f"{side} {_RIGHTS}",
            Finding.UNCHECKED,
            "listing shows no repository of the policy; name a repository with --repository to see what you may "
            "do with it",
        )
    for name in names:
        try:
            repository = endpoint.repository(name)
        except ValueError as error:
            raise NeedsHuman(Reason.INVALID_REQUEST, f"--repository {name[:80]!r}: {error}") from error
        look = _look_at_source if side == "source" else _look_at_destination
        yield from look(registries, policy, repository)


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
    try:
        registries.source(policy, repository).resolve(_PROBE)
    except TransshipError as error:
        yield failed("source", error, PULL, repository)
        return
    yield Step("source read", Finding.OK, f"may look into {repository}")


def _look_at_destination(registries: AwsRegistries, policy: PromotionPolicy, repository: Repository) -> Iterator[Step]:
    store = registries.destination(policy, repository)
    try:
        if isinstance(store, EcrRepository) and not store.exists():
            will = "will be created" if policy.destination_repository.create else "has to be created"
            yield Step("destination repository", Finding.UNCHECKED, f"{repository} does not exist, and {will}")
            return
        store.resolve(_PROBE)
    except TransshipError as error:
        yield failed("destination", error, PUSH, repository)
        return
    yield Step("destination read", Finding.OK, f"may look into {repository}")
    if isinstance(store, EcrRepository):
        text = "whether you may write cannot be seen without writing; it needs this"
        yield Step("destination write", Finding.UNCHECKED, text, PUSH.statement(repository), OWN)
