"""`transship check`: what is wrong with an overlay before it is committed, and what --fix mends."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from command_line.command import Said
from overlays.conftest import DESTINATION, SOURCE, Shop
from overlays.test_plan import pod

HOOK = "promote-images.yaml"


def reasons(said: Said) -> list[str]:
    (overlay,) = json.loads(said.out)["overlays"]
    return [each["reason"] for each in overlay["findings"]]


def check(shop: Shop, *arguments: str | Path, **environment: str) -> Said:
    return shop.run("check", *arguments, "-o", "json", **environment)


@pytest.fixture
def nobody() -> dict[str, str]:
    """An environment in which nothing can be asked: a proxy that is nowhere, and no credentials."""
    return {"HTTPS_PROXY": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


def test_nothing_is_wrong_with_an_image_that_is_there_and_that_a_hook_names(shop: Shop) -> None:
    shop.push("v1")
    shop.let_in()
    overlay = shop.overlay("production", shop.reference("v1"))
    assert check(shop, overlay, "--fix").status == 0
    said = shop.run("check", overlay)
    assert (said.status, said.out, said.err) == (0, "", "")


def test_an_image_that_the_source_lacks_is_found_by_rights_to_read_the_source_alone(shop: Shop) -> None:
    shop.push("v1")
    shop.let_in()
    said = check(shop, shop.overlay("production", shop.reference("v9")), "--no-hook")
    assert (said.status, reasons(said)) == (1, ["SourceMissing"])
    said = check(shop, shop.overlay("production", shop.reference("v1")), "--no-hook")
    assert (said.status, reasons(said)) == (0, [])


def test_offline_nobody_is_asked(shop: Shop, nobody: dict[str, str]) -> None:
    overlay = shop.overlay("production", shop.reference("v9"))
    assert check(shop, overlay, "--no-hook", "--offline", **nobody).status == 0
    shop.policy(tags={"deny": ["v9"]})
    said = check(shop, overlay, "--no-hook", "--offline", **nobody)
    assert (said.status, reasons(said)) == (1, ["TagDenied"])


@pytest.mark.parametrize(
    ("version", "options", "found"),
    [
        (":v1", [], []),
        (":v1", ["--pinned"], ["Unpinned"]),
        (f":v1@sha256:{'0' * 64}", ["--pinned"], []),
        ("", [], ["Unpinned"]),
        (":v1:v2", [], ["InvalidImage"]),
    ],
)
def test_what_counts_as_pinned(shop: Shop, version: str, options: list[str], found: list[str]) -> None:
    image = f"{DESTINATION}/{shop.repository}{version}"
    said = check(shop, shop.overlay("production", image), "--no-hook", "--offline", *options)
    assert reasons(said) == found


def test_an_image_that_no_hook_names_is_found_and_fixed_and_then_nothing_is_left_to_fix(shop: Shop) -> None:
    overlay = shop.overlay("production", shop.reference("v1"))
    said = check(shop, overlay, "--offline")
    assert (said.status, reasons(said)) == (2, ["Uncovered"])
    fixed = shop.run("check", overlay, "--offline", "--fix")
    assert (fixed.status, fixed.out) == (0, "")
    assert "+  - promote-images.yaml" in fixed.err or "+- promote-images.yaml" in fixed.err
    hook = yaml.safe_load((overlay / HOOK).read_text())
    assert hook["spec"]["managedBy"] == "transship.dev/promotion"
    assert hook["spec"]["template"]["spec"]["containers"] == [{"name": "app", "image": shop.reference("v1")}]
    before = (overlay / HOOK).stat().st_mtime_ns
    again = shop.run("check", overlay, "--offline", "--fix")
    assert (again.status, again.err) == (0, "")
    assert (overlay / HOOK).stat().st_mtime_ns == before


def test_the_hook_is_written_so_that_images_keeps_deciding_for_it(shop: Shop) -> None:
    overlay = shop.overlay("production", "shop/checkout")
    kustomization = overlay / "kustomization.yaml"
    entry = f"images: # the version\n- name: shop/checkout\n  newName: {DESTINATION}/{shop.repository}\n  newTag: v1\n"
    kustomization.write_text(kustomization.read_text() + entry)
    assert shop.run("check", overlay, "--offline", "--fix").status == 0
    assert 'image: "shop/checkout"' in (overlay / HOOK).read_text()
    assert "images: # the version" in kustomization.read_text()
    kustomization.write_text(kustomization.read_text().replace("newTag: v1", "newTag: v2"))
    assert reasons(check(shop, overlay, "--offline")) == []


def test_a_hook_of_ours_follows_when_images_come_and_go(shop: Shop) -> None:
    overlay = shop.overlay("production", shop.reference("v1"))
    assert shop.run("check", overlay, "--offline", "--fix").status == 0
    shop_again = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    (overlay / "deployment.yaml").write_text(yaml.safe_dump(pod("app", shop.reference("v2"))))
    assert "promote-images.yaml" in shop_again["resources"]
    assert sorted(reasons(check(shop, overlay, "--offline"))) == ["Stale", "Uncovered"]
    assert shop.run("check", overlay, "--offline", "--fix").status == 0
    assert shop.reference("v2") in (overlay / HOOK).read_text()


def test_a_hook_that_somebody_wrote_is_theirs(shop: Shop) -> None:
    overlay = shop.overlay("production", shop.reference("v1"))
    (overlay / HOOK).write_text("# mine\n")
    said = shop.run("check", overlay, "--offline", "--fix")
    assert said.status == 1
    assert "was not written by this command" in said.err
    assert (overlay / HOOK).read_text() == "# mine\n"


@pytest.mark.parametrize("trap", [HOOK, f".{HOOK}.new", f".{HOOK}.tmp"])
def test_a_link_that_leads_out_of_the_overlay_is_not_written_through(shop: Shop, tmp_path: Path, trap: str) -> None:
    overlay, theirs = shop.overlay("production", shop.reference("v1")), tmp_path / "theirs"
    theirs.write_text("untouched")
    (overlay / trap).symlink_to(theirs)
    shop.run("check", overlay, "--offline", "--fix")
    assert theirs.read_text() == "untouched"


def test_a_hook_of_a_base_is_not_written_from_above(shop: Shop) -> None:
    base = shop.overlay("base", shop.reference("v1"))
    assert shop.run("check", base, "--offline", "--fix").status == 0
    overlay = shop.folder / "production"
    overlay.mkdir()
    (overlay / "more.yaml").write_text(yaml.safe_dump(pod("more", shop.reference("v2"))))
    kustomization: dict[str, Any] = {"resources": ["../base", "more.yaml"], "namespace": "shop"}
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    said = shop.run("check", overlay, "--offline", "--fix")
    assert said.status == 1
    assert "name the images there" in said.err
    assert not (overlay / HOOK).exists()


def test_a_promotion_request_names_images_as_well_as_a_hook_does(shop: Shop) -> None:
    request = {
        "apiVersion": "transship.dev/v1alpha1",
        "kind": "PromotionRequest",
        "metadata": {"name": "all", "namespace": "shop"},
        "spec": {"containers": [{"name": "c0", "image": shop.reference("v1")}]},
    }
    stream = yaml.safe_dump_all([pod("a", shop.reference("v1")), request])
    said = shop.run("check", "-f", "-", "--offline", "-o", "json", stdin=stream)
    assert (said.status, reasons(said)) == (0, [])


def test_images_that_no_policy_speaks_of_are_passed_over(shop: Shop) -> None:
    said = check(shop, shop.overlay("production", "docker.io/library/nginx:1"), "--offline")
    assert (said.status, reasons(said)) == (0, [])
    said = check(shop, shop.overlay("production", f"{DESTINATION}/other/app:v1"), "--offline")
    assert (said.status, reasons(said)) == (1, ["NotCovered"])


def test_a_source_that_may_not_be_read_is_told(shop: Shop) -> None:
    shop.push("v1")
    said = check(shop, shop.overlay("production", shop.reference("v1")), "--no-hook")
    assert (said.status, reasons(said)) == (1, ["Denied"])
    assert SOURCE in json.loads(said.out)["overlays"][0]["findings"][0]["message"]


def test_names_are_the_images_that_are_wrong_and_a_table_says_where(shop: Shop) -> None:
    overlay = shop.overlay("production", shop.reference("v1"))
    assert shop.run("check", overlay, "--offline", "-o", "name").out == f"{shop.reference('v1')}\n"
    said = shop.run("check", overlay, "--offline")
    assert "Deployment shop/app (app)" in said.out
    assert "Uncovered" in said.out


def test_the_hook_is_in_the_namespace_that_resources_name_themselves(shop: Shop) -> None:
    overlay = in_namespaces(shop, "shop")
    fixed = shop.run("check", overlay, "--offline", "--fix")
    assert (fixed.status, fixed.out) == (0, "")
    assert yaml.safe_load((overlay / HOOK).read_text())["metadata"]["namespace"] == "shop"
    again = shop.run("check", overlay, "--offline", "--fix")
    assert (again.status, again.out, again.err) == (0, "", "")


def test_images_of_several_namespaces_are_not_put_into_one_hook(shop: Shop) -> None:
    shop.policy(namespaces={"names": ["shop", "other"]})
    overlay = in_namespaces(shop, "shop", "other")
    before = (overlay / "kustomization.yaml").read_text()
    said = shop.run("check", overlay, "--offline", "--fix")
    assert (said.status, said.out) == (1, "")
    assert "in several namespaces (other, shop)" in said.err
    assert (overlay / "kustomization.yaml").read_text() == before
    assert not (overlay / HOOK).exists()


def test_a_hook_that_the_overlay_would_make_useless_is_not_written(shop: Shop) -> None:
    overlay = in_namespaces(shop, "shop")
    kustomization = overlay / "kustomization.yaml"
    patch = '[{"op": "remove", "path": "/spec/managedBy"}]'
    content = yaml.safe_load(kustomization.read_text()) | {"patches": [{"patch": patch, "target": {"kind": "Job"}}]}
    kustomization.write_text(yaml.safe_dump(content))
    before = kustomization.read_text()
    said = shop.run("check", overlay, "--offline", "--fix")
    assert (said.status, said.out) == (1, "")
    assert "nothing was written" in said.err
    assert kustomization.read_text() == before
    assert not (overlay / HOOK).exists()


def test_more_images_than_a_request_takes_are_not_put_into_one_hook(shop: Shop) -> None:
    overlay = shop.overlay("production", shop.reference("v0"))
    (overlay / "deployment.yaml").write_text(yaml.safe_dump(pod("app", *many(shop, 80))))
    said = shop.run("check", overlay, "--offline", "--fix")
    assert (said.status, said.out) == (1, "")
    assert "these are 80 images, and one request takes at most 64; split them up" in said.err
    assert not (overlay / HOOK).exists()


@pytest.mark.parametrize(("count", "found"), [(64, []), (65, ["InvalidRequest"])])
def test_a_hook_by_hand_with_more_images_than_a_request_takes_is_found(
    shop: Shop, count: int, found: list[str]
) -> None:
    images = many(shop, count)
    hook = pod("promote-images", *images) | {"apiVersion": "batch/v1", "kind": "Job"}
    hook["spec"] |= {"managedBy": "transship.dev/promotion", "suspend": True}
    stream = yaml.safe_dump_all([pod("app", *images), hook])
    said = shop.run("check", "-f", "-", "--offline", "-o", "json", stdin=stream)
    assert (said.status, reasons(said)) == (1 if found else 0, found)


def test_a_fix_is_offered_only_where_it_can_be_done(shop: Shop) -> None:
    """More images than one hook takes, images of two namespaces, and somebody's own hook: what to do, and no offer."""
    crowded = shop.overlay("production", shop.reference("v0"))
    (crowded / "deployment.yaml").write_text(yaml.safe_dump(pod("app", *many(shop, 65))))
    assert_not_offered(shop.run("check", crowded, "--offline"), "these are 65 images, and one request takes at most 64")

    shop.policy(namespaces={"names": ["shop", "other"]})
    assert_not_offered(shop.run("check", in_namespaces(shop, "shop", "other"), "--offline"), "an overlay for each")

    theirs = shop.overlay("theirs", shop.reference("v1"))
    (theirs / HOOK).write_text("# mine\n")
    assert_not_offered(shop.run("check", theirs, "--offline"), "name the images in it by hand")


def test_what_is_rendered_already_is_not_offered_a_fix(shop: Shop) -> None:
    stream = yaml.safe_dump(pod("app", shop.reference("v1")))
    said = shop.run("check", "-f", "-", "--offline", "-n", "shop", stdin=stream)
    assert_not_offered(said, "change the hook by hand where it comes from")


def assert_not_offered(said: Said, advice: str) -> None:
    assert said.status == 1, said
    assert advice in said.out
    assert "--fix" not in said.out


def test_a_namespace_that_is_given_is_that_of_resources_that_name_none(shop: Shop) -> None:
    overlay = in_namespaces(shop, "shop", "")
    assert "say with -n what none is" in shop.run("check", overlay, "--offline").out
    assert shop.run("check", overlay, "--offline", "-n", "shop").status == 2
    fixed = shop.run("check", overlay, "--offline", "-n", "shop", "--fix")
    assert (fixed.status, fixed.out) == (0, "")
    assert yaml.safe_load((overlay / HOOK).read_text())["metadata"]["namespace"] == "shop"
    assert shop.run("check", overlay, "--offline", "-n", "shop").status == 0


def many(shop: Shop, count: int) -> list[str]:
    return [shop.reference(f"v{each}") for each in range(count)]


def in_namespaces(shop: Shop, *names: str) -> Path:
    """An overlay that leaves the namespace to its resources."""
    overlay = shop.overlay("production", shop.reference("v1"))
    apps = [pod(f"app{at}", shop.reference("v1")) for at, _ in enumerate(names)]
    for app, name in zip(apps, names, strict=True):
        app["metadata"] = {"name": app["metadata"]["name"]} | ({"namespace": name} if name else {})
    (overlay / "deployment.yaml").write_text(yaml.safe_dump_all(apps))
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["deployment.yaml"]}))
    return overlay


def test_fix_needs_an_overlay(shop: Shop) -> None:
    said = shop.run("check", "-f", "-", "--fix", stdin=yaml.safe_dump(pod("a", "x")))
    assert (said.status, said.out) == (1, "")
    assert "leave -f out" in said.err


def test_of_a_stream_no_more_is_read_than_is_allowed(shop: Shop) -> None:
    said = shop.run("check", "-f", "-", "--offline", stdin="# " + "x" * 16 * 1024 * 1024)
    assert (said.status, said.out) == (1, "")
    assert "- has more than 16777216 bytes" in said.err
