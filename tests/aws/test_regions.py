"""Two principals, two accounts and two Regions at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

from aws.conftest import Aws
from aws.fleet import build, desk, unhurried
from oci.images import image
from promotion.world import Desk
from transship.aws.permissions import PULL
from transship.oci.reference import Registry
from transship.promotion.status import Phase

HERE, ELSEWHERE = "eu-west-1", "us-east-1"
CONTENTS = {f"v{number}": image([b"region %d" % number]) for number in range(6)}


def registry(account: str, region: str) -> Registry:
    return Registry(f"{account}.dkr.ecr.{region}.amazonaws.com")


def test_nobody_lends_an_identity_a_token_or_a_region_to_anybody(aws: Aws) -> None:
    """Here a role reads, elsewhere the user itself; the role may read nothing elsewhere, and the user nothing here."""
    paths = {region: aws.repository(region=region) for region in (HERE, ELSEWHERE)}
    aws.set_policy(paths[ELSEWHERE], PULL.shared("arn:aws:iam::222222222222:root"), region=ELSEWHERE)
    ci = aws.act_as("ci", quotas=unhurried())
    for region, path in paths.items():
        build(ci, path, CONTENTS, registry=registry("111111111111", region))
    given = aws.act_as("transship-controller", quotas=unhurried())
    target = registry("222222222222", ELSEWHERE)
    direct = {
        "source": {"registry": str(registry("111111111111", ELSEWHERE))},
        "destination": {"registry": str(target)},
    }
    by_role = desk(given, [(paths[HERE], tag) for tag in CONTENTS])
    by_user = desk(given, [(paths[ELSEWHERE], tag) for tag in CONTENTS], to=target, **direct)
    aws.twin.ledger.reset()
    together = threading.Barrier(2)

    def look(wish: Desk) -> Phase:
        together.wait()
        wish.look()
        return wish.status.phase

    with ThreadPoolExecutor(2) as pool:
        phases = list(pool.map(look, [by_role, by_user]))
    assert phases == [Phase.PROMOTED] * 2, (by_role.status.ready, by_user.status.ready)
    rows = [row for row in aws.twin.ledger.rows() if row["account"] == "111111111111" and row["requests"]]
    readers = {(row["region"], row["principal"]) for row in rows if row["action"] == "ecr:GetDownloadUrlForLayer"}
    assert len(readers) == 2
    assert {region: "role/transship-source" in principal for region, principal in readers} == {
        HERE: True,
        ELSEWHERE: False,
    }
    assert {row["refused"] for row in rows} == {0}
