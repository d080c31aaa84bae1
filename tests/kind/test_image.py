"""The image of the twin, built from its Dockerfile on a base of Debian's packages."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from kind import materials, plan
from shipping import offline
from shipping.builders import Builder

pytestmark = pytest.mark.timeout(300)
CONTAINER = "twin-of-a-test"


def test_it_is_built_and_has_the_twin_and_the_registry_behind_it(
    image_builder: Builder,
    image_bases: Mapping[str, str],
    distribution_binary: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    materials.write_twin_context(tmp_path / "twin", distribution_binary)
    isolation, trust = "--isolation=chroot", f"--signature-policy={tmp_path / 'trust.json'}"
    (tmp_path / "trust.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    told = [f"--build-arg={name}={image_bases[name]}" for name in ("BUILD_IMAGE", "PIP_NO_INDEX", "PIP_FIND_LINKS")]
    wheels = f"--volume={offline.wheels()}:{offline.PLACE}:ro"
    options = ["--format=oci", trust, isolation, wheels, *told, f"--tag={plan.TWIN_IMAGE}"]

    assert image_builder._run(["build", *options, str(tmp_path / "twin")]) == 0
    assert image_builder._run(["from", trust, f"--name={CONTAINER}", plan.TWIN_IMAGE]) == 0
    started = ["run", isolation, CONTAINER, "--"]
    assert image_builder._run([*started, "python3", "-m", "ecr_twin", "--help"]) == 0
    assert image_builder._run([*started, "/usr/local/bin/registry", "--version"]) == 0
    assert image_builder._run(["rm", CONTAINER]) == 0

    said = capfd.readouterr().out
    assert "usage: ecr_twin" in said
    assert "distribution/v3" in said
