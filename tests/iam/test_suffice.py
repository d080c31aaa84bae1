"""The printed policies suffice, and none of their actions can be spared."""

import copy
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ecr_twin.errors import Refusal
from iam.conftest import Accounts, Outcome, promote
from iam.topologies import ALL, DEVELOPMENT, A, B, C, Topology
from transship.actions import ACTIONS
from transship.aws.pod import Pod
from transship.aws.rights import Rights, RoleRights
from transship.cli.iam_document import listed
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman
from transship.promotion.status import Phase
from twin.test_principals import ISSUER, token

pytestmark = pytest.mark.twin
LETTERS = {"ids": [each.letter for each in ALL]}
AS_WANTED = {"Identities": "True Known", "DestinationRepositories": "True AsWanted"}
IN_PLACE = {**AS_WANTED, "SourceAccess": "True InPlace"}


@dataclass(frozen=True)
class Missing:
    """One action that is taken out of one statement of what is printed."""

    topology: Topology
    role: str
    where: str
    index: int
    action: str
    spec: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.topology.letter}-{self.role.rpartition('/')[2]}-{self.where}-{self.action}"

    @property
    def statement(self) -> dict[str, Any]:
        (role,) = (each for each in self.topology.rights(**self.spec).roles if each.arn == self.role)
        found: dict[str, Any] = getattr(role, self.where)[self.index]
        return found

    def rights(self) -> Rights:
        rights = self.topology.rights(**self.spec)
        return replace(rights, roles=tuple(self._without(each) for each in rights.roles))

    def _without(self, role: RoleRights) -> RoleRights:
        if role.arn != self.role:
            return role
        statements = list(getattr(role, self.where))
        statements[self.index] = without(statements[self.index], self.action)
        left = tuple(each for each in statements if each["Action"])
        return replace(role, statements=left) if self.where == "statements" else replace(role, trust=left)


def without(statement: dict[str, Any], action: str) -> dict[str, Any]:
    changed = copy.deepcopy(statement)
    changed["Action"] = [each for each in listed(changed["Action"]) if each != action]
    return changed


def every_action(topology: Topology, where: str, **spec: Any) -> Iterator[Missing]:
    for role in topology.rights(**spec).roles:
        for index, statement in enumerate(getattr(role, where)):
            for action in listed(statement["Action"]):
                yield Missing(topology, role.arn, where, index, action, spec)


def once(missing: Iterable[Missing]) -> list[Missing]:
    """Those that are not the same action of the same statement of the same role in two topologies."""
    return list({(each.role, str(each.statement), each.action): each for each in missing}.values())


OWN = once(each for topology in ALL for each in every_action(topology, "statements"))
TRUSTS = [each for topology in ALL for each in every_action(topology, "trust")]
OF_ROLES = [each for each in TRUSTS if each.role != each.topology.operator]
OF_PODS = [each for each in TRUSTS if each.role == each.topology.operator]


def run(
    accounts: Accounts, topology: Topology, rights: Rights, become: Callable[[], AwsRegistries] | None = None
) -> Outcome:
    """A promotion into nothing, beside a repository that has drifted, with the roles as they are printed."""
    accounts.grant(rights)
    name, other = accounts.build(), f"shop/d{uuid.uuid4().hex[:12]}"
    accounts.drifted(other)
    registries = become() if become else accounts.as_pod(topology.operator)
    accounts.twin.ledger.reset()
    return promote(registries, topology, name, other)


def expected(topology: Topology) -> dict[str, str]:
    return AS_WANTED if topology is B else IN_PLACE


@pytest.mark.parametrize("topology", ALL, **LETTERS)
def test_a_whole_promotion_needs_nothing_that_is_not_printed(accounts: Accounts, topology: Topology) -> None:
    rights = topology.rights()
    outcome = run(accounts, topology, rights)

    assert (outcome.phase, outcome.conditions) == (Phase.PROMOTED, expected(topology)), outcome.said
    rows = [row for row in accounts.twin.ledger.rows() if row["action"].startswith(("ecr:", "sts:"))]
    calls = {row["action"].partition(":")[2] for row in rows} - {"GetCallerIdentity"}
    printed = {action for each in rights.roles for one in each.statements for action in listed(one["Action"])}
    assert calls <= {call for action in printed for call in ACTIONS[action].calls}


@pytest.mark.parametrize("topology", [A, B], ids=["a", "b"])
def test_a_web_identity_of_the_cluster_suffices_as_well(
    accounts: Accounts, topology: Topology, tmp_path: Path, issuer_key: rsa.RSAPrivateKey
) -> None:
    file = tmp_path / "token"
    rights = topology.rights(pod=Pod(issuer=ISSUER))
    assert "sts:TagSession" not in str(rights)  # tags are Pod Identity's

    def become() -> AwsRegistries:
        return accounts.as_web_identity(topology.operator, file)

    file.write_text(token(issuer_key, sub="system:serviceaccount:transship-system:transship"))
    outcome = run(accounts, topology, rights, become)
    assert (outcome.phase, outcome.conditions) == (Phase.PROMOTED, expected(topology)), outcome.said
    file.write_text(token(issuer_key, sub="system:serviceaccount:shop:default"))
    with pytest.raises(NeedsHuman, match="AccessDenied"):
        become().caller(topology.policy(), topology.policy().destination)


@pytest.mark.parametrize("missing", OWN, ids=str)
def test_an_action_that_a_role_lacks_is_named_with_the_role_and_its_own_policy(
    accounts: Accounts, missing: Missing
) -> None:
    outcome = run(accounts, missing.topology, missing.rights())

    assert (outcome.phase, outcome.conditions) != (Phase.PROMOTED, expected(missing.topology))
    name = missing.role.rpartition("/")[2]
    sentence = denial(outcome, missing.action)
    assert f":assumed-role/{name}/" in sentence.partition(" may not ")[0]
    assert "to the principal's own policy {" in sentence
    assert f'"Action":"{missing.action}"' in sentence
    assert sentence.count(f"it is needed to {ACTIONS[missing.action].why}") >= 1


def denial(outcome: Outcome, action: str) -> str:
    """The sentences about an action; no other action is said to be lacking."""
    lines = [each for each in outcome.said.splitlines() if " may not " in each]
    assert lines, outcome.said
    assert {each.partition(" may not ")[2].split()[0].rstrip(",:") for each in lines} == {action}, outcome.said
    return lines[0]


@pytest.mark.parametrize("missing", OF_ROLES, ids=str)
def test_a_role_that_does_not_trust_the_operator_is_named_with_the_trust_policy(
    accounts: Accounts, missing: Missing
) -> None:
    sentence = denial(run(accounts, missing.topology, missing.rights()), missing.action)
    assert f"may not {missing.action} on {missing.role}" in sentence
    assert "trust policy" in sentence


@pytest.mark.parametrize("missing", OF_PODS, ids=str)
def test_a_role_that_does_not_trust_pods_is_given_to_none(accounts: Accounts, missing: Missing) -> None:
    accounts.grant(missing.rights())
    with pytest.raises(Refusal, match=f"not authorized to perform: {missing.action}"):
        accounts.as_pod(missing.role)


@pytest.mark.parametrize("topology", [A, C], ids=["a", "c"])
@pytest.mark.parametrize(
    "action", [None, "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
)
def test_the_statement_that_is_printed_for_source_repositories_suffices_and_no_action_of_it_can_be_spared(
    accounts: Accounts, topology: Topology, action: str | None
) -> None:
    by_hand = {"principalArns": [topology.operator]}
    rights = topology.rights(sourceAccess=by_hand)
    (shared,) = rights.shared
    accounts.grant(rights)
    name = accounts.build()
    accounts.share(name, without(shared.statement, action or ""))
    outcome = promote(accounts.as_pod(topology.operator), topology, name, name, sourceAccess=by_hand)
    if action is None:
        assert (outcome.phase, outcome.conditions) == (Phase.PROMOTED, AS_WANTED), outcome.said
        return
    sentence = denial(outcome, action)
    assert ":assumed-role/transship/" in sentence
    assert f"on arn:aws:ecr:eu-west-1:{DEVELOPMENT}:repository/{name}, because no resource-based policy" in sentence
    assert "add to the policy of the repository {" in sentence
