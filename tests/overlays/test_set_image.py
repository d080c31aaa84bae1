"""`transship set-image`: the overlay says another version afterwards, and nothing else has changed."""

import json
from pathlib import Path

import pytest
import yaml

from overlays.conftest import DESTINATION, SOURCE, Shop
from overlays.test_plan import pod

NEW = f"sha256:{'1' * 64}"


@pytest.fixture
def production(shop: Shop) -> Path:
    """An overlay whose images: name the version, with a comment."""
    return entry_overlay(shop, "production", DESTINATION, "v1")


def entry_overlay(shop: Shop, name: str, registry: str, tag: str) -> Path:
    folder = shop.overlay(name, "shop/checkout")
    file = folder / "kustomization.yaml"
    entry = f"images:\n  - name: shop/checkout\n    newName: {registry}/{shop.repository}\n    newTag: {tag} # ours\n"
    file.write_text(file.read_text() + entry)
    return folder


def text(overlay: Path) -> str:
    return (overlay / "kustomization.yaml").read_text()


def test_the_version_is_changed_and_shown_and_comments_stay(shop: Shop, production: Path) -> None:
    before = text(production)
    said = shop.run("set-image", production, "shop/checkout:v2")
    assert said.status == 0, said.err
    assert text(production) == before.replace("newTag: v1 # ours", "newTag: v2 # ours")
    assert "-    newTag: v1 # ours" in said.out
    assert "+    newTag: v2 # ours" in said.out


def test_a_dry_run_shows_it_and_writes_nothing(shop: Shop, production: Path) -> None:
    before = text(production)
    said = shop.run("set-image", production, "shop/checkout:v2", "--dry-run", "-o", "json")
    assert (said.status, text(production)) == (2, before)
    (edit,) = json.loads(said.out)["edits"]
    assert edit["after"].endswith(":v2")
    assert shop.run("set-image", production, "shop/checkout:v1", "--dry-run").status == 0


def test_a_digest_is_written_in_the_place_of_the_tag(shop: Shop, production: Path) -> None:
    assert shop.run("set-image", production, f"shop/checkout@{NEW}").status == 0
    (entry,) = yaml.safe_load(text(production))["images"]
    assert (entry["digest"], "newTag" in entry) == (NEW, False)


@pytest.mark.parametrize("version", ["", ":v2"], ids=["the version it has", "another one"])
def test_pin_writes_the_digest_that_the_tag_has_at_the_source(shop: Shop, production: Path, version: str) -> None:
    digests = shop.push("v1", "v2")
    shop.let_in()
    said = shop.run("set-image", production, f"shop/checkout{version}", "--pin")
    assert said.status == 0, said.err
    (entry,) = yaml.safe_load(text(production))["images"]
    wanted = version.removeprefix(":") or "v1"
    assert (entry["newTag"], entry["digest"]) == (wanted, digests[wanted])
    assert shop.run("check", production, "--pinned", "--no-hook").status == 0


def test_what_is_pinned_already_is_nothing_to_do(shop: Shop, production: Path) -> None:
    digests = shop.push("v1")
    shop.let_in()
    assert shop.run("set-image", production, "shop/checkout:v1", "--pin").status == 0
    pinned = text(production)
    assert digests["v1"] in pinned
    for image in ("shop/checkout:v1", "shop/checkout"):
        said = shop.run("set-image", production, image, "--pin", "--dry-run", "-o", "json")
        assert (said.status, json.loads(said.out)) == (0, {"edits": [], "diff": ""})
        assert "says so already" in said.err
    assert text(production) == pinned


def test_a_pin_is_told_by_what_was_there_before(shop: Shop, production: Path) -> None:
    digests = shop.push("v2")
    shop.let_in()
    said = shop.run("set-image", production, "shop/checkout:v2", "--pin", "--dry-run", "-o", "json")
    (edit,) = json.loads(said.out)["edits"]
    assert said.status == 2
    assert edit["before"].endswith(":v1")
    assert edit["after"].endswith(f":v2@{digests['v2']}")


def test_a_byte_order_mark_stays_and_is_not_shown(shop: Shop, production: Path) -> None:
    (production / "kustomization.yaml").write_text("\ufeff" + text(production).replace("# ours", ""))
    said = shop.run("set-image", production, "shop/checkout:v2")
    assert said.status == 0, said.err
    assert "ufeff" not in said.out
    assert "\ufeff" not in said.out
    assert text(production).startswith("\ufeff")


def test_what_the_source_lacks_cannot_be_pinned_and_nothing_is_written(shop: Shop, production: Path) -> None:
    shop.push("v1")
    shop.let_in()
    before = text(production)
    said = shop.run("set-image", production, "shop/checkout:v9", "--pin")
    assert (said.status, said.out, text(production)) == (1, "", before)
    assert "does not exist; push it there" in said.err


def test_from_takes_what_another_overlay_runs(shop: Shop, production: Path) -> None:
    dev = entry_overlay(shop, "dev", SOURCE, "v1.5.0")
    said = shop.run("set-image", production, "--from", dev)
    assert said.status == 0, said.err
    assert "newTag: v1.5.0 # ours" in text(production)
    again = shop.run("set-image", production, "--from", dev)
    assert (again.status, again.out) == (0, "")
    assert "says so already" in again.err


def test_from_refuses_to_choose_between_versions(shop: Shop, production: Path) -> None:
    dev = shop.overlay("dev", shop.reference("v3", SOURCE))
    two = [pod("a", shop.reference("v3", SOURCE)), pod("b", shop.reference("v4", SOURCE))]
    (dev / "deployment.yaml").write_text(yaml.safe_dump_all(two))
    said = shop.run("set-image", production, "--from", dev)
    assert said.status == 1
    assert "several versions, v3, v4" in said.err


def test_what_no_text_decides_is_refused_and_nothing_is_written(shop: Shop, production: Path) -> None:
    before = text(production)
    said = shop.run("set-image", production, "shop/other:v2")
    assert (said.status, said.out, text(production)) == (1, "", before)
    assert "has no image shop/other" in said.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name an image and its version"),
        (["shop/checkout"], "name a tag or digest"),
        (["shop/checkout:a b"], "tag 'a b'"),
        (["shop/checkout@sha256:1"], "write NAME:TAG"),
        (["shop/checkout:v2", "--from", "dev"], "name images alone"),
        (["shop/checkout:v9", "shop/checkout:v8", "--dry-run"], "twice, as shop/checkout:v9 and as shop/checkout:v8"),
        (["shop/checkout", "shop/checkout:v8", "--pin"], "twice, as shop/checkout and as shop/checkout:v8"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_1(
    shop: Shop, production: Path, arguments: list[str], sentence: str
) -> None:
    said = shop.run("set-image", production, *arguments)
    assert (said.status, said.out) == (1, "")
    assert sentence in said.err
    assert len(said.err.splitlines()) == 1


def test_an_image_is_not_asked_for_twice_by_its_names_before_and_after_images(shop: Shop, production: Path) -> None:
    renamed, before = f"{DESTINATION}/{shop.repository}", text(production)
    said = shop.run("set-image", production, "shop/checkout:v2", f"{renamed}:v3")
    assert (said.status, said.out, text(production)) == (1, "", before)
    assert said.err.endswith(
        f"{renamed} is asked for twice, as {renamed}:v2 and as {renamed}:v3; name one version of it\n"
    )
    assert shop.run("set-image", production, "shop/checkout:v2", f"{renamed}:v2").status == 0
    assert "newTag: v2 # ours" in text(production)


def test_nothing_is_shown_as_done_where_nothing_could_be_written(shop: Shop, production: Path, tmp_path: Path) -> None:
    before, meddler = text(production), tmp_path / "kustomize"
    file = production / "kustomization.yaml"
    meddler.write_text(f"#!/bin/sh\n'{shop.kustomize}' \"$@\" && echo '# mine' >> '{file}'\n")
    meddler.chmod(0o755)

    said = shop.run("set-image", production, "shop/checkout:v2", TRANSSHIP_KUSTOMIZE=str(meddler))

    assert (said.status, said.out) == (1, "")
    assert said.err == f"transship: {file} has changed since it was read; begin again\n"
    assert text(production).replace("# mine\n", "") == before
