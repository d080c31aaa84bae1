"""The page of a real run: an API server, the operator, and registries that refuse what ECR refuses."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from command_line.command import Command, Said
from localworld import paths
from localworld.controller import Controller, install
from localworld.errors import WorldError
from localworld.showcase import Showcase, shown
from localworld.world import World
from report.conftest import PHONE, Show


@pytest.fixture(scope="module")
def showcase(world: World) -> Iterator[Showcase]:
    install(world)
    try:
        with (
            Controller(world, {"TRANSSHIP_HISTORY_LIMIT": "5"}),
            shown(world, f"-r{uuid.uuid4().hex[:6]}") as showcase,
        ):
            yield showcase
    except WorldError as error:
        pytest.fail(f"No showcase: {error}", pytrace=False)


@pytest.fixture
def report(world: World, showcase: Showcase, tmp_path: Path) -> Command:
    return Command(tmp_path, {"KUBECONFIG": str(world.cluster.kubeconfig)})


@pytest.mark.timeout(240)
def test_an_operator_sees_what_runs_what_waits_and_what_failed(
    report: Command, showcase: Showcase, show: Show, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    said = report("report", "-A", "--out", str(page))

    assert (said.status, said.out) == (0, "")
    desktop = show(page, f"#namespace={showcase.shop}")
    row = desktop.page.locator("table[aria-label='Now'] tbody tr:visible", has_text="shop/checkout:v1.4.2")
    text = " ".join(row.inner_text().split())
    assert row.locator(".digest").first.get_attribute("title") == showcase.digests["shop/checkout"]["v1.4.2"]
    assert f"Job/promote-images {showcase.shop}/promote-images-" in text
    assert "shop at 3b1f0c9" in text
    assert f"shop-to-production{showcase.shop.removeprefix('shop')}" in text
    assert sorted(each.rpartition(":")[2] for each in desktop.rows("Earlier")) == ["v1.4.1", "v1.5.0", "v7", "v7"]

    billing = show(page, f"#namespace={showcase.billing}", viewport=PHONE)
    assert sorted(billing.troubles()) == ["Job/promote-images", "next-release", "nightly", "paid", "try-latest"]
    for reason in ("SourceMissing", "Suspended", "SourceNotYetThere", "NotCovered", "TagDenied"):
        assert reason in billing.text
    assert billing.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_what_kubectl_prints_makes_the_same_rows_for_somebody_without_rights(
    report: Command, showcase: Showcase, world: World, tmp_path: Path
) -> None:
    kinds, options = "promotionrequests.transship.dev", (f"--namespace={showcase.billing}", "--output=json")
    (tmp_path / "objects.json").write_text(world.cluster.kubectl("get", kinds, *options))

    asked = _rows(report("report", "-n", showcase.billing, "-o", "json"))
    read = _rows(Command(tmp_path)("report", "-f", str(tmp_path / "objects.json"), "-o", "json"))

    assert asked == read
    assert len(asked) == 6


def test_who_may_only_list_requests_of_one_namespace_gets_them_and_reads_what_is_not_shown(
    report: Command, showcase: Showcase, world: World
) -> None:
    run, name = world.cluster.kubectl, f"reader-{uuid.uuid4().hex[:6]}"
    within = f"--namespace={showcase.billing}"
    run("create", "role", name, within, "--verb=list", "--resource=promotionrequests.transship.dev")
    run("create", "rolebinding", name, within, f"--role={name}", f"--user={name}")
    options = ("--kubeconfig", str(world.cluster.issue_kubeconfig(name, name)))

    mine = report("report", "-n", showcase.billing, *options)
    others = report("report", "-A", *options)

    assert (mine.status, mine.err) == (0, "")
    assert "Policies are not shown, as whoever made this may not list them." in mine.out
    assert (others.status, others.out) == (1, "")
    assert "promotionrequests" in others.err


def test_the_cronjob_of_the_documentation_is_taken_by_the_api_server_and_may_only_look(
    world: World, showcase: Showcase
) -> None:
    text = (paths.REPOSITORY / "docs/how-to/report.md").read_text()
    (cronjob,) = (each for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "kind: CronJob" in each)

    world.cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "--filename=-", stdin=cronjob)

    (binding,) = (each for each in yaml.safe_load_all(cronjob) if each["kind"] == "ClusterRoleBinding")
    role = world.cluster.admin.get(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{binding['roleRef']['name']}")
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} <= {"get", "list", "watch"}


def _rows(said: Said) -> list[dict[str, object]]:
    assert said.status == 0, said.err
    return list(json.loads(said.out)["images"])
