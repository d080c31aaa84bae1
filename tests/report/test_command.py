"""How the command is called: by people without rights in the cluster, in pipelines, at a terminal."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from command_line.command import SECONDS, Command
from report.made_up import REGISTRY, SOURCE, listed, missing, promoted, request, status

CHECKOUT = f"{REGISTRY}/shop/checkout:v1"
POLICY = {
    "apiVersion": "transship.dev/v1alpha1",
    "kind": "PromotionPolicy",
    "metadata": {"name": "shop-to-production"},
    "spec": {
        "source": {"registry": SOURCE, "externalId": "not-to-be-shown"},
        "destination": {"registry": REGISTRY, "repositoryPrefix": "prod/"},
        "namespaces": {"names": ["shop"]},
        "repositories": ["shop/*"],
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    told = status("Stalled", "SourceMissing", "", missing("c0", CHECKOUT))
    path = tmp_path / "objects.json"
    path.write_text(json.dumps(listed(promoted("good", CHECKOUT), request("bad", CHECKOUT, told=told), POLICY)))
    return path


def test_a_page_is_not_poured_over_a_terminal(file: Path, transship: Command) -> None:
    primary, secondary = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "transship", "report", "-f", str(file)],
        env={"HOME": str(transship.home), "PATH": os.environ["PATH"]},
        stdout=secondary,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    os.close(secondary)
    os.close(primary)
    sentence = "transship: a page is for a browser and not for a terminal; say --out report.html\n"
    assert (done.returncode, done.stderr) == (1, sentence)


def test_the_page_goes_where_standard_output_goes(file: Path, transship: Command) -> None:
    said = transship("report", "-f", str(file))
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("<!doctype html>")
    assert said.out.rstrip().endswith("</html>")


def test_standard_input_is_read_as_kubectl_prints_it(file: Path, transship: Command) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "transship", "report", "-f", "-", "-o", "json"],
        env={"HOME": str(transship.home), "PATH": os.environ["PATH"]},
        input=file.read_text(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert json.loads(done.stdout)["origin"] == {"readFrom": "standard input"}


def test_programs_get_what_the_page_shows(file: Path, transship: Command) -> None:
    found = json.loads(transship("report", "-f", str(file), "-o", "json").out)

    assert found["counts"] == {"failed": 1, "waiting": 0, "goingOn": 0, "ready": 1}
    assert [(each["request"], each["standing"]) for each in found["images"]] == [("bad", "failed"), ("good", "ready")]
    assert found["troubles"][0]["points"][0]["remedy"] == "Push it there, or name a tag that exists."
    assert found["policies"][0]["destination"] == f"{REGISTRY}/prod"


def test_policies_are_shown_without_what_opens_doors(file: Path, transship: Command) -> None:
    page = transship("report", "-f", str(file)).out
    assert "shop-to-production" in page
    assert "not-to-be-shown" not in page


def test_yaml_documents_and_several_files_are_read_too(tmp_path: Path, transship: Command) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text(yaml.safe_dump_all([promoted("one", CHECKOUT)]) + "---\n{kind: ConfigMap, data: {a: =}}\n")
    second.write_text(json.dumps({"kind": "PromotionRequestList", "items": [_without_kind(promoted("two", CHECKOUT))]}))
    found = json.loads(transship("report", "-f", str(first), "-f", str(second), "-o", "json").out)
    assert sorted(each["request"] for each in found["images"]) == ["one", "two"]


def _without_kind(resource: dict[str, object]) -> dict[str, object]:
    return {name: content for name, content in resource.items() if name not in {"kind", "apiVersion"}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is neither JSON nor YAML"),
        ("just words", "has an entry that is no object of a cluster"),
        ("[1]", "has an entry that is no object of a cluster"),
        ('{"kind": "List", "items": [3]}', "has an entry that is no object of a cluster"),
        ('{"kind": "List", "items": 3}', "has an entry that is no object of a cluster"),
        ('{"kind": "Pod"}', "no PromotionRequest among 1 objects"),
        ("[" * 100_000, "is neither JSON nor YAML"),
        ("\xff", "has an entry that is no object of a cluster"),
    ],
)
def test_what_cannot_be_read_ends_with_one_sentence(
    content: str, sentence: str, tmp_path: Path, transship: Command
) -> None:
    (tmp_path / "x").write_text(content)
    said = transship("report", "-f", str(tmp_path / "x"))
    assert (said.status, said.out) == (1, "")
    assert said.err.count("\n") == 1
    assert sentence in said.err


def test_a_file_that_is_not_there_or_cannot_be_written_is_named(file: Path, transship: Command) -> None:
    assert "nowhere cannot be read: No such file" in transship("report", "-f", "nowhere").err
    said = transship("report", "-f", str(file), "--out", "/nowhere/report.html")
    assert (said.status, said.err) == (
        1,
        "transship: /nowhere/report.html cannot be written: No such file or directory\n",
    )


def test_objects_that_no_cluster_would_hold_are_left_out_and_said(tmp_path: Path, transship: Command) -> None:
    (tmp_path / "x").write_text(json.dumps(listed(promoted("good", CHECKOUT), {"kind": "PromotionRequest"})))
    page = transship("report", "-f", str(tmp_path / "x")).out
    assert "Left out, as no cluster would hold them so: 1 PromotionRequests." in page
