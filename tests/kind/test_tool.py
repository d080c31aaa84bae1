"""The pinned kind reads the cluster's file; docker is played by a script that writes down what it is asked for."""

import os
import subprocess
from pathlib import Path

import yaml

from kind import materials, plan
from kind.programs import Programs

DOCKER = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
  info) echo '{{"CgroupDriver": "systemd", "CgroupVersion": "2", "MemoryLimit": true, "PidsLimit": true}}' ;;
  run) echo "this docker starts nothing" >&2; exit 1 ;;
esac
"""


def asked(kind_binary: Path, folder: Path, command: plan.Command) -> tuple[str, list[str]]:
    """What kind said, and what it asked docker for."""
    log = folder / "log"
    docker = folder / "docker"
    docker.write_text(DOCKER.format(log=log))
    docker.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "KIND_EXPERIMENTAL_PROVIDER": "docker"}
    arguments = [str(kind_binary), *command.arguments[1:]]
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return result.stderr, log.read_text().splitlines()


def test_the_cluster_is_made_of_the_pinned_image_under_its_name(kind_binary: Path, tmp_path: Path) -> None:
    create = next(plan.up(Programs(), materials.make_authority(), tmp_path))

    said, log = asked(kind_binary, tmp_path, create)

    assert "this docker starts nothing" in said
    (started,) = (line for line in log if line.startswith("run "))
    image = yaml.safe_load((materials.HERE / "cluster.yaml").read_text())["nodes"][0]["image"]
    assert f"--name {plan.NODE} " in started
    assert started.endswith(image)


def test_what_is_removed_is_that_cluster(kind_binary: Path, tmp_path: Path) -> None:
    (delete,) = plan.down(Programs())

    said, log = asked(kind_binary, tmp_path, delete)

    assert f'Deleting cluster "{plan.NAME}"' in said
    assert any(f"label=io.x-k8s.kind.cluster={plan.NAME}" in line for line in log)
