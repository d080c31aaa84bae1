"""What has to be allowed in AWS for PromotionPolicies, and nothing more: of each role, and of source repositories.

Theory of operation. Every side of a policy is gone to as one identity: the role it names, or the operator's own. What
an identity does follows from the policy alone, and which actions that takes is said by `permissions`. Here the two meet
and become IAM's documents: the identity policies of all roles, the trust policies by which one becomes another, and the
statement that a source repository needs where its reader is in another account (docs/how-to/source-access.md).

Where IAM's wildcards cannot say what a pattern says (see `patterns`), more is allowed and a note tells of it; the
operator itself keeps to the policy before AWS is asked anything.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from transship.actions import ASSUME, TAG_SESSION
from transship.aws.hosts import EcrHost
from transship.aws.patterns import iam_patterns, is_exact, key_of
from transship.aws.permissions import (
    DESTINATION,
    FIND,
    KEEP_STATEMENT,
    LIST,
    LOOK,
    LOOK_INTO,
    PULL,
    RESOLVE,
    SEE_STATEMENT,
    TOKEN,
    USE_KEY,
    VERSION,
    Permission,
    arn_in,
    of_settings,
)
from transship.aws.pod import Pod, account_of, partition_of
from transship.aws.source_access import grant_to
from transship.errors import NeedsHuman, Reason
from transship.promotion.policy import PromotionPolicy

ADMISSION = "transship-admission"
"""The ServiceAccount of the webhook."""
MAX_INLINE = 10_240
"""Characters of all inline policies of a role, white space apart (IAM's quota)."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RoleRights:
    """What one role needs.

    Attributes:
        arn: of the role.
        tasks: what it does, in words.
        statements: of its own policy.
        trust: statements of its trust policy; none where it is not known who becomes it.
    """

    arn: str
    tasks: tuple[str, ...]
    statements: tuple[Json, ...]
    trust: tuple[Json, ...] = ()

    @property
    def policy(self) -> Json:
        """Its own policy."""
        return document_of(self.statements)

    @property
    def trust_policy(self) -> Json | None:
        """Who may become it."""
        return document_of(self.trust) if self.trust else None


@dataclass(frozen=True, slots=True)
class SharedSource:
    """The statement that source repositories of one policy need.

    Attributes:
        policy: name of the PromotionPolicy.
        host: the registry.
        patterns: of repositories, as IAM writes them.
        statement: for the policy of each of them.
        is_kept: whether the operator writes it.
    """

    policy: str
    host: EcrHost
    patterns: tuple[str, ...]
    statement: Json
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Rights:
    """All that is needed, and what people should know about it."""

    roles: tuple[RoleRights, ...]
    shared: tuple[SharedSource, ...]
    notes: tuple[str, ...]


def document_of(statements: Iterable[Json]) -> Json:
    """Statements as a policy document."""
    return {"Version": VERSION, "Statement": list(statements)}


@dataclass(slots=True)
class _Role:
    """What is gathered about one role."""

    tasks: dict[str, None] = field(default_factory=dict)
    allowed: dict[tuple[str, tuple[str, ...], str], set[str]] = field(default_factory=dict)
    trusted: set[tuple[str, str | None]] = field(default_factory=set)  # principal and external id

    def allow(self, sid: str, actions: Iterable[str], resources: Iterable[str], condition: Json | None = None) -> None:
        key = (sid, tuple(sorted(set(actions))), json.dumps(condition, sort_keys=True))
        self.allowed.setdefault(key, set()).update(resources)

    def statements(self) -> Iterator[Json]:
        """One for each kind of thing to do; of several of a kind, the Sids are numbered."""
        seen: dict[str, int] = {}
        for (sid, actions, condition), resources in self.allowed.items():
            seen[sid] = seen.get(sid, 0) + 1
            statement: Json = {
                "Sid": sid if seen[sid] == 1 else f"{sid}{seen[sid]}",
                "Effect": "Allow",
                "Action": _one_or_list(sorted(actions)),
                "Resource": _one_or_list(sorted(resources)),
            }
            yield statement | ({"Condition": json.loads(condition)} if condition != "null" else {})


def _one_or_list(words: list[str]) -> str | list[str]:
    return words[0] if len(words) == 1 else words


def rights_of(
    policies: Iterable[PromotionPolicy], operator: str, pod: Pod, *, admission: str = "", read_only: bool = False
) -> Rights:
    """What policies need of AWS.

    Args:
        policies: all that the operator has.
        operator: ARN of the role as whom it runs; of whoever plans, with `read_only`.
        pod: how its pod becomes that role.
        admission: ARN of the role as whom the webhook runs; empty when there is none.
        read_only: only what looking and planning take.

    Raises:
        NeedsHuman: PolicyInvalid: a policy cannot work with that operator; the message says what to name.
    """
    gathered = _Gathered(operator, admission, read_only)
    for policy in policies:
        gathered.add(policy)
    return gathered.rights(pod)


class _Gathered:
    """Roles and statements as policy after policy asks for them."""

    def __init__(self, operator: str, admission: str, read_only: bool) -> None:  # noqa: FBT001 - one call, above
        self._operator = operator
        self._admission = admission
        self._read_only = read_only
        self._roles: dict[str, _Role] = {operator: _Role()}
        self._shared: list[SharedSource] = []
        self._notes: dict[str, None] = {}

    def add(self, policy: PromotionPolicy) -> None:
        self._patterns_are_noted(policy)
        if (host := EcrHost.of(policy.source.registry)) is not None:
            self._source(policy, host)
        if (host := EcrHost.of(policy.destination.registry)) is not None:
            self._destination(policy, host)
        for side, endpoint in (("source", policy.source), ("destination", policy.destination)):
            if EcrHost.of(endpoint.registry) is None:
                self._note(f"{policy.name}: the {side} {endpoint.registry} is not ECR and needs nothing of AWS")

    def _note(self, text: str) -> None:
        self._notes[text] = None

    def rights(self, pod: Pod) -> Rights:
        _each_can_be(self._roles)
        for arn, role in list(self._roles.items()):
            for who, _ in role.trusted:
                self._roles[who].allow("AssumeRoles", self._into_a_role(pod), [arn])
        roles = []
        for arn, role in self._roles.items():
            roles.append(RoleRights(arn, tuple(role.tasks), tuple(role.statements()), tuple(self._trust(arn, pod))))
        made = [each for each in roles if each.statements]
        notes = [*self._notes, *(note for each in made for note in _too_long(each))]
        return Rights(tuple(made), tuple(self._shared), tuple(notes))

    def _source(self, policy: PromotionPolicy, host: EcrHost) -> None:
        arn = self._identity(policy.source.role_arn, policy.source.external_id, policy, host)
        reader, where = self._roles[arn], iam_patterns(policy.source, policy.repositories)
        reader.tasks[f"reads the source of {policy.name}"] = None
        reader.allow("Token", TOKEN.actions, ["*"])
        describe = LIST.actions if policy.source_access.describe else ()
        read = RESOLVE if self._read_only else PULL
        reader.allow("ReadSource", (*read.actions, *describe), (arn_in(host, each) for each in where))
        grant = grant_to(account_of(arn), policy)
        if policy.source_access.manage_policy and grant is not None:
            self._editor(policy, host)
        if grant is not None:
            is_kept = policy.source_access.manage_policy
            self._shared.append(SharedSource(policy.name, host, tuple(where), grant.statement(), is_kept))
            if not grant.principal_arns:
                self._note(
                    f"{policy.name}: the statement on source repositories lets in everybody of account {grant.account} "
                    f"whom a policy there allows to read them; sourceAccess.principalArns: [{arn}] narrows it"
                )

    def _editor(self, policy: PromotionPolicy, host: EcrHost) -> None:
        access = policy.source_access
        role, external_id = (
            (access.role_arn, access.external_id)
            if access.role_arn
            else (policy.source.role_arn, policy.source.external_id)
        )
        arn = self._identity(role, external_id, policy, host)
        if account_of(arn) != host.account:
            raise NeedsHuman(
                Reason.POLICY_INVALID,
                f"policy {policy.name}: only somebody of account {host.account} can write the policies of its "
                "repositories; name a role there in sourceAccess.roleArn, or set sourceAccess.managePolicy to false",
            )
        editor = self._roles[arn]
        editor.tasks[f"keeps the statement on source repositories of {policy.name}"] = None
        where = [arn_in(host, each) for each in iam_patterns(policy.source, policy.repositories)]
        actions = SEE_STATEMENT if self._read_only else KEEP_STATEMENT
        editor.allow("KeepStatement" if not self._read_only else "SeeStatement", actions.actions, where)
        if access.every_match and not self._read_only:
            editor.allow("FindRepositories", FIND.actions, [arn_in(host, "*")])

    def _destination(self, policy: PromotionPolicy, host: EcrHost) -> None:
        arn = self._identity(policy.destination.role_arn, policy.destination.external_id, policy, host)
        if account_of(arn) != host.account:
            raise NeedsHuman(
                Reason.POLICY_INVALID,
                f"policy {policy.name}: {arn} is not of account {host.account}, into which it would write; name a role "
                "of that account in destination.roleArn",
            )
        writer, settings = self._roles[arn], policy.destination_repository
        where = [arn_in(host, each) for each in iam_patterns(policy.destination, policy.repositories)]
        if self._read_only:  # of the destination, planning asks the ECR API alone, which takes no token
            writer.tasks[f"looks into the destination of {policy.name}"] = None
            writer.allow("LookIntoDestination", (*LOOK_INTO.actions, *LOOK.actions), where)
            return
        writer.tasks[f"writes the destination of {policy.name}"] = None
        writer.allow("Token", TOKEN.actions, ["*"])
        needed: tuple[Permission, ...] = (*(each for each in DESTINATION if each is not TOKEN), *of_settings(settings))
        if self._admission:
            self._webhook(policy, arn, where)
        writer.allow("WriteDestination", (action for each in needed for action in each.actions), where)
        if settings.create and settings.encryption is not None and settings.encryption.kms_key:
            resource, condition = key_of(settings.encryption.kms_key, host)
            writer.allow("UseKey", USE_KEY.actions, [resource], condition)

    def _webhook(self, policy: PromotionPolicy, writer: str, where: list[str]) -> None:
        """The webhook looks for images at the destination, by the role that the policy names there or by its own."""
        webhook = self._roles.setdefault(self._admission, _Role())
        webhook.tasks[f"looks for images at the destination of {policy.name}"] = None
        if policy.destination.role_arn:
            self._roles[writer].trusted.add((self._admission, policy.destination.external_id))
        else:
            webhook.allow("Token", TOKEN.actions, ["*"])
            webhook.allow("ReadDestination", RESOLVE.actions, where)

    def _identity(self, role: str | None, external_id: str | None, policy: PromotionPolicy, host: EcrHost) -> str:
        """ARN of whom a side is gone to as; a role of its own can be assumed from now on."""
        arn = role or self._operator
        if partition_of(arn) != host.partition:
            self._note(
                f"{policy.name}: {arn} is of partition {partition_of(arn)}, the registry of {host.partition}; "
                "AWS knows nobody of one in the other"
            )
        if arn != self._operator:
            self._roles.setdefault(arn, _Role()).trusted.add((self._operator, external_id))
            self._roles[self._operator].tasks["assumes the roles that policies name"] = None
        return arn

    def _into_a_role(self, pod: Pod) -> list[str]:
        return [ASSUME, TAG_SESSION] if pod.tags_sessions and not self._read_only else [ASSUME]

    def _trust(self, arn: str, pod: Pod) -> Iterator[Json]:
        if arn == self._operator and not self._read_only:
            yield pod.trust(arn)
        if arn == self._admission:
            yield replace(pod, service_account=ADMISSION).trust(arn)
        for who, external_id in sorted(self._roles[arn].trusted, key=str):
            # The account's root, because IAM refuses a principal that does not exist yet (ecr.md §5).
            root = f"arn:{partition_of(who)}:iam::{account_of(who)}:root"
            condition: Json = {"ArnEquals": {"aws:PrincipalArn": who}}
            yield {
                "Effect": "Allow",
                "Principal": {"AWS": root},
                "Action": _one_or_list(self._into_a_role(pod)),
                "Condition": condition | ({"StringEquals": {"sts:ExternalId": external_id}} if external_id else {}),
            }

    def _patterns_are_noted(self, policy: PromotionPolicy) -> None:
        wide = [each.pattern for each in policy.repositories if not is_exact(each)]
        if wide:
            self._note(
                f"{policy.name}: IAM's * and ? stand for slashes too, so it allows more than {', '.join(wide)} does; "
                "the operator itself keeps to the pattern"
            )


def _each_can_be(arns: Iterable[str]) -> None:
    """IAM has one role of a name in an account, whatever its path and the case of its letters.

    Raises:
        NeedsHuman: PolicyInvalid: two of them could not be there together.
    """
    seen: dict[tuple[str, str], str] = {}
    for arn in arns:
        other = seen.setdefault((account_of(arn), arn.rpartition("/")[2].lower()), arn)
        if other != arn:
            raise NeedsHuman(
                Reason.POLICY_INVALID,
                f"{other} and {arn} cannot both exist, for IAM has one role of a name in an account, whatever its path "
                "and the case of its letters; write one of them everywhere, or give them other names",
            )


def _too_long(role: RoleRights) -> Iterator[str]:
    length = len(json.dumps(role.policy, separators=(",", ":")))
    if length > MAX_INLINE:
        yield (
            f"the policy of {role.arn} has {length} characters, and IAM takes {MAX_INLINE} inline: use fewer and wider "
            "patterns in spec.repositories, or spread its statements over managed policies"
        )
