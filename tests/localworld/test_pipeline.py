"""The demo's second act shows what it promises, beside registries that run already."""

import uuid
from pathlib import Path

from localworld import pipeline
from localworld.registries import Registries


def test_set_check_plan_and_promote_need_no_cluster(twin: Registries, kustomize: Path) -> None:
    said: dict[str, str] = {}
    pipeline.show(
        twin, lambda command, output: said.setdefault(command.split()[1], output), f"v-{uuid.uuid4().hex[:6]}"
    )
    assert list(said) == ["set-image", "check", "plan", "promote"]
    assert "1 image: 1 to copy" in said["plan"]
    assert "proven" in said["promote"]
