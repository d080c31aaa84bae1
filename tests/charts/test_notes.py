"""What Helm says after an installation is true of what has been installed."""

import json
import re

import pytest

from charts.chart import Helm
from localworld.paths import REPOSITORY


def test_a_first_installation_is_told_of_the_image_the_names_and_the_policy_that_are_needed(one_helm: Helm) -> None:
    said = one_helm.notes({"fullnameOverride": "mover"})

    assert "PLEASE NOTE: no image of Transship is published" in said
    assert "rollout status deployment/mover" in said
    assert "kind: PromotionPolicy" in said
    assert "gate" not in said
    assert "webhook" not in said


@pytest.mark.parametrize("image", [{"repository": "registry.example/transship"}, {"digest": f"sha256:{'a' * 64}"}])
def test_whoever_names_an_image_is_not_told_to(one_helm: Helm, image: dict[str, str]) -> None:
    assert "PLEASE NOTE" not in one_helm.notes({"image": image})


def test_what_has_to_be_done_before_the_webhook_goes_is_said_with_its_own_names(one_helm: Helm) -> None:
    values = {"admission": {"enabled": True}, "gate": {"enabled": True}, "fullnameOverride": "mover"}

    said = one_helm.notes(values)

    resources = {(each["kind"], each["metadata"]["name"]) for each in one_helm.template(values)}
    (configuration,) = re.findall(r"delete mutatingwebhookconfiguration (\S+)", said)
    (deployment,) = re.findall(r"exec deploy/(\S+)", said)
    assert ("MutatingWebhookConfiguration", configuration) in resources
    assert ("Deployment", deployment) in resources
    assert "transship.dev/gate" in said


@pytest.mark.parametrize("page", ["docs/how-to/admission.md", "charts/transship/templates/NOTES.txt"])
def test_what_is_run_in_a_pod_is_there_in_the_image_which_has_no_shell(page: str) -> None:
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)

    commands = re.findall(r"kubectl .*exec .* -- (.*)", (REPOSITORY / page).read_text())

    assert commands
    assert all(command.startswith(" ".join(json.loads(entry))) for command in commands)
